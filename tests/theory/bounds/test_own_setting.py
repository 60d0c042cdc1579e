"""A bound in a setting of one's own: what is printed, and what is refused."""

import numpy
import pytest

from dimat.topology import Ring, second_eigenvalue
from theory.bounds.derivations import DERIVATIONS
from theory.bounds.own_setting import best_step_size

GIVEN = ["--smoothness", 2, "--noise", 0.1, "--heterogeneity", 0.3, "--steps", 10000]
RING = ["--graph", "ring", "--agents", 16]


def test_prints_admissible_step_sizes_and_terms(dimat):
    done = dimat("bound", *RING, *GIVEN)
    assert done.returncode == 0, done.stderr
    root = second_eigenvalue(Ring().mixing_matrix(16))
    largest = (1 - root) / 4  # (1 - sqrt(rho)) / (2 L) is below 1 / L
    assert f"0 < alpha <= {largest:.6g}" in done.stdout
    assert done.stdout.count("<- rules") == 2
    heterogeneity = 4 * (largest * 2 * 0.3 / (1 - root)) ** 2
    assert f"{heterogeneity:.6g}" in done.stdout


def test_the_given_step_size_and_start_count(dimat):
    done = dimat("bound", *RING, *GIVEN, "--step-size", 0.01, "--gap", 5, "--disagreement", 2)
    bound = DERIVATIONS["gossip"].bound(
        alpha=0.01, L=2, sigma=0.1, kappa=0.3, K=10000, N=16, gap_0=5, Xi_0=2,
        s=second_eigenvalue(Ring().mixing_matrix(16)),
    )  # fmt: skip
    assert f"(as given) the mean over k < K of E |grad f|^2 is at most {bound:.6g}" in done.stdout


@pytest.mark.parametrize("key", list(DERIVATIONS))
def test_the_best_step_size_is_admissible_and_no_worse_than_others(key):
    derivation = DERIVATIONS[key]
    known = {str(symbol) for symbol in derivation.constants()} - {"alpha"}
    values = {"L": 2, "sigma": 1, "kappa": 1, "K": 1000, "N": 8, "s": 0.8, "gap_0": 1, "Xi_0": 0.1}
    values |= {"tau": 5, "beta": 0.5, "m": 0.9, "M": 1.0}
    values = {name: value for name, value in values.items() if name in known}
    largest = derivation.largest_step_size(**values)
    best = best_step_size(derivation, largest, values)
    assert 0 < best <= largest * (1 + 1e-12)
    others = [derivation.bound(alpha=largest * f, **values) for f in (1.0, 0.3, 0.1, 0.01)]
    assert derivation.bound(alpha=best, **values) <= min(others) * 1.01


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*RING, *GIVEN[2:]], "needs values of: L"),
        ([*RING, *GIVEN, "--step-size", 0.5], "alpha: 0.5 exceeds"),
        ([*RING, *GIVEN, "--noise", -1], "--noise: expected a finite number from 0, got '-1'"),
        ([*RING, *GIVEN, "--momentum", 0.5], "beta: no constant of gossip"),
        (["magic", *RING, *GIVEN], "bound: 'magic'; expected one of gossip,"),
        (["adam", *RING, *GIVEN, "--smallest", 2, "--largest", 1], "m: 2, expected at most M = 1"),
        (
            ["local_steps", *RING, *GIVEN, "--local-steps", 3],
            "expected a multiple of tau",
        ),
        (["--graph", "ring", *GIVEN], "--agents: missing"),
        (["--graph", "loop", "--agents", 4, *GIVEN], "'loop' is no known name"),
        (["--graph", "directed_ring", "--agents", 4, *GIVEN], "directed_ring is directed"),
        (["--graph", "torus", "--agents", 7, *GIVEN], "torus"),
        (GIVEN, "--graph: missing"),
        (["--graph", "edges", "--agents", 4, *GIVEN], "--graph: edges.edge_list: missing"),
        ([*RING, *GIVEN, "--steps", 0], "--steps: expected a whole number from 1 to 1000000000, got '0'"),
        ([*RING, *GIVEN, "--steps", "1.5"], "--steps: expected a whole number"),
        ([*RING, *GIVEN, "--smoothness", "nan"], "--smoothness: expected a finite number from 0, got 'nan'"),
        ([*RING, *GIVEN, "--smoothness", 0], "--smoothness: L: 0; expected a number above 0"),
        ([*RING, *GIVEN, "--step-size", 0.5], "--step-size: alpha"),
        (["--matrix", ".", *GIVEN], "error: .: cannot be read (Is a directory)"),
        (["--matrix", "none.csv", *GIVEN], "none.csv: no such file; expected rows of numbers with commas"),
        *[
            (["--graph", "ring", "--agents", wrong, *GIVEN], f"from 1 to 1000, got '{wrong}'")
            for wrong in (-3, 0, "NaN", 1.5, "1_0", 10**30, "", "x")
        ],
    ],
)
def test_what_is_not_admissible_is_one_line(dimat, arguments, message):
    done = dimat("bound", *arguments)
    assert done.returncode == 2 and done.stdout == ""
    assert message in done.stderr and done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([[0.5, 0.4], [0.4, 0.5]], "not stochastic in its rows by 0.1"),
        ([[0.5, 0.5, 0], [0.25, 0.5, 0.25], [0.25, 0, 0.75]], "not symmetric by 0.25"),
        ([[1.5, -0.5], [-0.5, 1.5]], "negative by 0.5"),
        ([[1.0, 0.0], [0.0, 1.0]], "sqrt(rho) is 1: its links do not connect all agents"),
        ([[0.0, 1.0], [1.0, 0.0]], "its links connect all agents, but the matrix is periodic"),
        ([[0, 0.5, 0, 0.5], [0.5, 0, 0.5, 0], [0, 0.5, 0, 0.5], [0.5, 0, 0.5, 0]], "the matrix is periodic"),
        ([["nan", 1], [1, 0]], "expected a square of finite numbers"),
        ([], "pi.csv: holds no numbers; expected rows of numbers with commas"),
        ([["# comment"]], "pi.csv: holds no numbers"),
        ([[0.5, 0.5]], "expected a square of finite numbers"),
        ([["a", "b"], ["c", "d"]], "not rows of numbers with commas"),
    ],
)
def test_a_matrix_of_ones_own_is_checked(dimat, tmp_path, rows, message):
    (tmp_path / "pi.csv").write_text("\n".join(",".join(map(str, row)) for row in rows) + "\n")
    done = dimat("bound", "--matrix", "pi.csv", *GIVEN)
    assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1


def test_a_matrix_of_ones_own_gives_what_its_graph_gives(dimat, tmp_path):
    numpy.savetxt(tmp_path / "pi.csv", Ring().mixing_matrix(16), delimiter=",", fmt="%.18g")
    own, named = dimat("bound", "--matrix", "pi.csv", *GIVEN), dimat("bound", *RING, *GIVEN)
    assert own.stdout.splitlines()[2:] == named.stdout.splitlines()[2:]
    twice = dimat("bound", "--matrix", "pi.csv", *RING, *GIVEN)
    assert twice.returncode == 2 and "expected a graph or a matrix, not both" in twice.stderr
