"""Settings in which bounds are nearly attained: without them, an audit accepts bounds that are far too small.

Each is made for one reason for which a bound is as large as it is. L is 1, if nothing else is said.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy
from numpy import ndarray

from dimat.topology import second_eigenvalue
from theory.bounds.derivations import DERIVATIONS
from theory.bounds.settings import Setting
from theory.gap.graphs import COMPLETE, RING
from theory.problems import Problem, Separable, Zigzag

Built = tuple[Problem, ndarray]
"""A problem, and a start (agents, dimensions)."""
SMALL = 1e-2
"""A distance at which a cosine is as good as a parabola."""
MANY = 200
DOUBLINGS = 36
"""How often what round-off adds to an unstable mean may double before a run ends."""


def slope(setting: Setting) -> Built:
    """Equal agents go down a parabola together: the initial gap is all there is.

    It is so shallow that preconditioners, which depend on slopes, are nearly one number.
    """
    shallow = Separable(numpy.full(setting.agents, SMALL), numpy.zeros(setting.agents), 1, sigma=0.0)
    return shallow, numpy.full((setting.agents, 1), SMALL)


def noise(setting: Setting) -> Built:
    """Equal agents start at the minimum of a parabola, which noise makes them leave.

    In many dimensions the mean over seeds hardly varies.
    """
    return _equal(setting.agents, MANY, sigma=SMALL), numpy.zeros((setting.agents, MANY))


def apart(setting: Setting) -> Built:
    """Equal losses, and agents that start apart."""
    return _equal(setting.agents, 1, sigma=0.0), SMALL * wave(setting.agents)


def maximum(setting: Setting) -> Built:
    """At the maximum of losses whose phases lie along the slowest direction of the mixing matrix.

    Curvature -L drives agents apart as fast as it can, in the direction in which merges hold them together
    the least; at a maximum, their mean stays where it is.
    """
    phases = SMALL * wave(setting.agents)[:, 0]
    start = numpy.full((setting.agents, 1), math.pi)
    return Separable(numpy.ones(setting.agents), phases, 1, sigma=0.0), start


def zigzag(setting: Setting) -> Built:
    """Two halves of the agents stand still at slopes of 0, their mean at one of 1."""
    places = wave(setting.agents)
    return Zigzag(-HELD[setting.bound](root(setting)) / step_size(setting) * places[:, 0]), places


HELD: dict[str, Callable[[float], float]] = {
    "gossip": lambda s: 1 - s,
    "adapt_then_combine": lambda s: (1 - s) / s,
    "local_steps": lambda s: (1 - s) / s,
}
"""By bounds: the tilt, times alpha, that holds agents at distance 1 along an eigenvector for s.

Local steps are one: then X_0, after a merge, is where agents adapt, and then combine."""
BUILDERS: dict[str, Callable[[Setting], Built]] = {
    each.__name__: each for each in (slope, noise, apart, maximum, zigzag)
}

BEARS_ON = {
    "slope": "convergence",
    "noise": "convergence",
    "apart": "disagreement",
    "maximum": "disagreement",
    "zigzag": "convergence",
}
"""Which of a bound's two checks a setting is made for; the other's numbers may be nothing but round-off."""


def near_worst() -> Iterator[Setting]:
    """For all bounds; a few seconds in all."""
    for key, bound in DERIVATIONS.items():
        yield Setting(key, "slope", COMPLETE, 8, 1.0, 100)
        yield Setting(key, "noise", COMPLETE, 2, 0.02, 1000)
        if bound.bounds_disagreement:
            yield Setting(key, "apart", COMPLETE, 8, 1.0, 1)
            for agents, fraction in ((8, 1.0), (8, 0.5), (16, 1.0)):
                yield _while_stable(Setting(key, "maximum", RING, agents, fraction, 1))
        if key in HELD:
            yield _while_stable(Setting(key, "zigzag", RING, 4, 0.05, 1))


def _while_stable(setting: Setting) -> Setting:
    """The setting with as many steps as curvature -L needs for `DOUBLINGS`."""
    bound = DERIVATIONS[setting.bound]
    kept = bound.known(_equal(setting.agents, 1, sigma=0.0)).get("beta", 0.0)
    growth = step_size(setting) / (1 - kept)
    return replace(setting, steps=math.ceil(DOUBLINGS * math.log(2) / growth))


def step_size(setting: Setting) -> float:
    """That of a setting, for losses with L = 1."""
    bound = DERIVATIONS[setting.bound]
    given = (_equal(setting.agents, 1, sigma=0.0), root(setting), setting.steps, setting.local_steps)
    return setting.fraction * bound.largest_step_size(**bound.constants_on(*given))


def root(setting: Setting) -> float:
    """Of the graph: sqrt(rho)."""
    return second_eigenvalue(setting.graph.mixing_matrix(setting.agents))


def wave(agents: int) -> ndarray:
    """An eigenvector (agents, 1) of a ring's mixing matrix for its largest eigenvalue but 1, at most 1.

    Of four agents, all have 1 or -1.
    """
    found = numpy.cos(2 * math.pi * (numpy.arange(agents) + 0.5) / agents)
    return (found / found.max())[:, None]


def _equal(agents: int, dimensions: int, sigma: float) -> Separable:
    return Separable(numpy.ones(agents), numpy.zeros(agents), dimensions, sigma)
