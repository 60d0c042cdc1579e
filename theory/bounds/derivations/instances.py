"""Instances of what axioms assume: each must hold on all of them, and be attained on one.

An instance is one step (or, for sums, a hundred) of four agents with quadratic losses in one dimension, with
every outcome of their noise: expected values are exact means. What a method makes is computed by its rule,
and not from the vectors in which an axiom says it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy
from numpy import ndarray
from sympy import Expr, Symbol, lambdify

from theory.bounds.derivations.facts import Axiom
from theory.bounds.derivations.symbols import TABLE
from theory.bounds.derivations.vectors import GRAM

AGENTS = 4
SIGNS = numpy.array(list(product((-1.0, 1.0), repeat=AGENTS)))
APART = numpy.array([[1.0, 1.0, -1.0, -1.0], [1.0, -1.0, 1.0, -1.0], [1.0, -1.0, -1.0, 1.0]])
STEPS = 100
"""So many that what is left in the end is small in a sum."""
RANDOM = 60
"""Instances that are drawn at random, beside those of extremes."""
ROUND_OFF = 1e-9
ALMOST = 0.01
"""A share of both sides that counts as nothing: of a sum, its last term."""
SMALL = 1e-6
"""What is smaller on both sides counts as round-off."""


@dataclass(frozen=True, eq=False)
class World:
    """Four agents at ``points``, with curvatures and slopes of their losses, and a method's constants.

    ``velocities`` and ``signs`` are those of momentum and of what differing preconditioners do; signs may
    depend on the noise (outcomes, agents).
    """

    points: ndarray
    curvatures: ndarray
    slopes: ndarray
    velocities: ndarray
    signs: ndarray
    s: float
    sigma: float
    alpha: float
    beta: float
    m: float
    M: float
    flip: float = -1.0
    """The sign of the second of three eigenvalues."""

    @property
    def mixing(self) -> ndarray:
        """Symmetric, of rows that add up to 1; eigenvalues off the mean are s, s or -s, and s."""
        signs = numpy.array([[1.0], [self.flip], [1.0]])
        return (1 + self.s * APART.T @ (signs * APART)) / AGENTS

    def loss(self, points: ndarray) -> ndarray:
        """F at points."""
        return self.curvatures.mean() * points**2 / 2 + self.slopes.mean() * points

    def values(self, method: str) -> dict[str, float]:
        """All symbols of the table that one step of ``method`` gives a value."""
        mean, off = self.points.mean(), self.points - self.points.mean()
        gradients = self.curvatures * self.points + self.slopes
        at_mean = self.curvatures * mean + self.slopes
        noise = self.sigma * SIGNS
        moved = gradients + noise
        center, radius = (self.M + self.m) / 2, (self.M - self.m) / 2
        extra = self.signs * moved
        eta = self.alpha / (1 - self.beta)
        z = mean - eta * self.beta * self.velocities.mean()
        after_velocity = self.beta * self.velocities + moved
        adapted = center * moved + radius * extra
        vectors = {
            "p": at_mean.mean(),
            "v": gradients.mean(),
            "w": noise.mean(1, keepdims=True),
            "x": off,
            "a": self.mixing @ off / self.s,
            "g": gradients - gradients.mean(),
            "h": gradients - at_mean,
            "e": gradients - at_mean - (gradients - at_mean).mean(),
            "k": at_mean - at_mean.mean(),
            "n": noise - noise.mean(1, keepdims=True),
            "y": self.velocities.mean(),
            "d": self.curvatures.mean() * (z - mean),
            "u": self.velocities - self.velocities.mean(),
            "o": extra.mean(1, keepdims=True),
            "E": extra,
            "r": noise,
            "t": adapted - adapted.mean(1, keepdims=True),
            **self.parts(),
        }
        shape = (len(SIGNS), AGENTS)
        spread = {name: numpy.broadcast_to(numpy.asarray(each), shape) for name, each in vectors.items()}
        found = {
            str(symbol): float((spread[min(key)] * spread[max(key)]).mean())
            for key, symbol in GRAM.items()
            if isinstance(symbol, Symbol) and key <= spread.keys()
        }
        after = self.after(method, moved, after_velocity, adapted)
        if method == "momentum":
            before, then = z, z - eta * moved.mean(1)
        else:
            before, then = mean, after.mean(1)
        return found | {
            "alpha": self.alpha,
            "beta": self.beta,
            "m": self.m,
            "M": self.M,
            "L": float(abs(self.curvatures).max()),
            "N": AGENTS,
            "s": self.s,
            "sigma": self.sigma,
            "kappa": found["|k|^2"] ** 0.5,
            "Xi": float((off**2).mean()),
            "Xi_next": around_mean(after),
            "change": float(self.loss(then).mean() - self.loss(before)),
            "y_next": float((after_velocity.mean(1) ** 2).mean()),
            "u_next": around_mean(after_velocity),
            "ended": float((off**2).mean()),
            "start_next": around_mean(self.mixing @ self.points),
            **self.after_parts(gradients, noise),
        }

    def parts(self) -> dict[str, ndarray]:
        """A part of where agents are, and of their velocities, as if noise alone had made it."""
        slow, *_ = APART
        rest, velocity = self.points - slow, self.velocities - slow / 2
        rest, velocity = rest - rest.mean(), velocity - velocity.mean()
        slowest = {"b": slow * self.points[0], "f": slow * self.velocities[0]}
        return {"B": slow, "R": rest, "A": self.mixing @ rest / self.s, "U": velocity, **slowest}

    def after_parts(self, gradients: ndarray, noise: ndarray) -> dict[str, float]:
        """Their squares after a step of momentum, those of noise alone without gradients."""
        parts, off = self.parts(), noise - noise.mean(1, keepdims=True)
        velocity = self.beta * parts["U"] + gradients - gradients.mean()
        rest = self.mixing @ parts["R"] - self.alpha * velocity
        of_noise = self.beta * parts["f"] + off
        moved = self.mixing @ parts["b"] - self.alpha * of_noise
        return {
            "R_next": float((rest**2).mean()),
            "U_next": float((velocity**2).mean()),
            "b_next": float((moved**2).mean()),
            "f_next": float((of_noise**2).mean()),
            "bf_next": float((moved * of_noise).mean()),
        }

    def after(self, method: str, moved: ndarray, velocity: ndarray, adapted: ndarray) -> ndarray:
        """Where agents are after a step, for every outcome (outcomes, agents)."""
        merged = self.mixing @ self.points
        rules = {
            "gossip": merged - self.alpha * moved,
            "adapt_then_combine": (self.points - self.alpha * moved) @ self.mixing,
            "local_steps": self.points - self.alpha * moved,
            "momentum": merged - self.alpha * velocity,
            "adam": merged - self.alpha * adapted,
        }
        return rules[method]

    def sums(self) -> dict[str, float]:
        """The sums over steps, without noise, of what telescopes; curvatures are made positive."""
        points, velocity, found = self.points, numpy.zeros(AGENTS), dict.fromkeys(_SUMS, 0.0)
        curvature = abs(self.curvatures)
        best = -self.slopes.mean() / curvature.mean()

        def loss(x: float) -> float:
            return curvature.mean() * x**2 / 2 + self.slopes.mean() * x

        found["gap_0"] = loss(points.mean()) - loss(best)
        found["Xi_0"] = around_mean(points)
        for _ in range(STEPS):
            found["sum Xi"] += around_mean(points)
            found["sum |y|^2"] += velocity.mean() ** 2
            found["sum |u|^2"] += around_mean(velocity)
            velocity = self.beta * velocity + curvature * points + self.slopes
            moved = self.mixing @ points - self.alpha * velocity
            found["sum change"] += loss(moved.mean()) - loss(points.mean())
            points = moved
            found["sum Xi_next"] += around_mean(points)
            found["sum y_next"] += velocity.mean() ** 2
            found["sum u_next"] += around_mean(velocity)
        for name in ("start", "|R|^2"):
            found[f"sum {name}"] = found["sum Xi"]
        found["sum start_next"] = found["sum R_next"] = found["sum Xi_next"]
        found["sum |U|^2"], found["sum U_next"] = found["sum |u|^2"], found["sum u_next"]
        return found | self.sums_of_noise()

    def sums_of_noise(self) -> dict[str, float]:
        """The sums over steps of what noise alone makes, by covariances of positions and velocities."""
        found = dict.fromkeys(("|b|^2", "|f|^2", "<b,f>", "b_next", "f_next", "bf_next", "|B|^2"), 0.0)
        values = self.s * numpy.array([1.0, self.flip, 1.0])
        share = self.sigma**2 / AGENTS  # of each eigenvector off the mean
        noise = share * numpy.array([[self.alpha**2, -self.alpha], [-self.alpha, 1.0]])
        moves = [numpy.array([[e, -self.alpha * self.beta], [0.0, self.beta]]) for e in (*values, self.s)]
        covariances = [numpy.zeros((2, 2)) for _ in moves]
        for _ in range(STEPS):
            *own, slow = covariances
            found["|B|^2"] += sum(each[0, 0] for each in own)
            for name, value in zip(
                ("|b|^2", "|f|^2", "<b,f>"), (slow[0, 0], slow[1, 1], slow[0, 1]), strict=True
            ):
                found[name] += (AGENTS - 1) * value
            covariances = [m @ c @ m.T + noise for m, c in zip(moves, covariances, strict=True)]
            slow = covariances[-1]
            for name, value in zip(
                ("b_next", "f_next", "bf_next"), (slow[0, 0], slow[1, 1], slow[0, 1]), strict=True
            ):
                found[name] += (AGENTS - 1) * value
        return {f"sum {name}": float(value) for name, value in found.items()}


_SUMS = (*("sum Xi", "sum Xi_next", "sum change", "sum |y|^2", "sum |u|^2", "sum y_next", "sum u_next"),)


def around_mean(points: ndarray) -> float:
    """The mean squared distance of agents from their mean, over all outcomes."""
    return float(((points - points.mean(-1, keepdims=True)) ** 2).mean())


@cache
def worlds() -> tuple[World, ...]:
    """Extremes, in which axioms are attained, and random ones."""
    one, zero = numpy.ones(AGENTS), numpy.zeros(AGENTS)
    slow, fast, _ = APART
    extremes = (
        World(points, curvatures, slopes, one + slow, signs, s, sigma, 0.1, 0.5, 0.5, 2.0)
        for points in (slow, fast, one)
        for curvatures in (2 * one, 2 * slow)
        for slopes in (zero, one, slow)
        for signs in (one, -one, slow)
        for s in (1e-3, 0.6)
        for sigma in (0.0, 1.0)
    )
    voting = World(zero, 2 * one, zero, one, SIGNS, 0.6, 1.0, 0.1, 0.5, 0.5, 2.0)  # signs of the noise alone
    return (*extremes, voting, *_drawn())


def _drawn() -> Iterator[World]:
    generator = numpy.random.default_rng(0)
    for _ in range(RANDOM):
        m = float(generator.uniform(0.2, 1))
        points, curvatures, slopes, velocities = generator.standard_normal((4, AGENTS))
        yield World(
            points=points,
            curvatures=curvatures,
            slopes=slopes,
            velocities=velocities,
            signs=generator.uniform(-1, 1, AGENTS),
            s=float(generator.uniform(0.05, 0.95)),
            sigma=float(generator.uniform(0, 2)),
            alpha=float(generator.uniform(0.01, 0.5)),
            beta=float(generator.uniform(0, 0.9)),
            m=m,
            M=m * float(generator.uniform(1, 3)),
            flip=float(generator.choice([-1, 1])),
        )


@cache
def table_of(method: str) -> tuple[dict[str, float], ...]:
    """The values of symbols, by name, in each world."""
    few = {world: world.sums() for world in worlds()[-RANDOM:]}
    return tuple(world.values(method) | few.get(world, {}) for world in worlds())


def excess(left: Expr, right: Expr, method: str) -> tuple[ndarray, ndarray]:
    """(left - right) / (|left| + |right|) on each instance, and whether there is more than round-off."""
    names = sorted(str(each) for each in left.free_symbols | right.free_symbols)
    of = lambdify([TABLE[name] for name in names], [left, right], "math")
    known = [values for values in table_of(method) if values.keys() >= set(names)]
    sides = numpy.array([of(*(values[name] for name in names)) for values in known]).reshape(-1, 2)
    size = abs(sides).sum(1)
    return (sides[:, 0] - sides[:, 1]) / numpy.maximum(size, SMALL), size > SMALL


@cache
def holds(axiom: Axiom, method: str) -> bool:
    """Whether ``axiom`` holds on every instance of ``method``, and there is one that has all its symbols."""
    found, _ = excess(axiom.left, axiom.right, method)
    largest = (abs(found) if axiom.is_identity else found).max(initial=-2.0)
    return bool(-2.0 < largest < ROUND_OFF)


def attained(axiom: Axiom, method: str) -> bool:
    """Whether an instance has both sides all but equal, and not 0."""
    found, some = excess(axiom.left, axiom.right, method)
    return bool((abs(found[some]) < ALMOST).any())
