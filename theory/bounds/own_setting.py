"""What a derived bound says of a setting of one's own: admissible step sizes, terms, and which term rules."""

import io
from pathlib import Path

import networkx
import numpy
from numpy import ndarray
from pydantic import TypeAdapter, ValidationError

from dimat.errors import InputError
from dimat.experiment.reading import describe
from dimat.io.written import read_text
from dimat.topology import AnyGraph, check_mixing_matrix, second_eigenvalue
from theory.bounds.derivations import DERIVATIONS
from theory.bounds.derivations.derivation import Derivation
from theory.bounds.derivations.symbols import MEANINGS, alpha

MOST_AGENTS = 1000
STEP_SIZES = 120
"""Step sizes among which the best is looked for, in equal ratios, down to a millionth of the largest."""
ASSUMED = {"gap_0": 1.0, "Xi_0": 0.0}
"""Constants that need not be given: the start."""


def mixing_of(graph: str | None, matrix: Path | None, agents: int | None) -> tuple[str, ndarray]:
    """A label and the symmetric mixing matrix of a graph's name, or of a file of comma-separated rows.

    `InputError` says what is wrong with either, and by how much.
    """
    if graph is not None and matrix is not None:
        raise InputError("--matrix: expected a graph or a matrix, not both")
    if matrix is not None:
        mixing = _numbers(matrix)
        if agents not in (None, len(mixing)):
            raise InputError(f"--agents: expected {len(mixing)}, as {matrix} has rows, got {agents}")
        try:
            check_mixing_matrix(mixing)
        except InputError as error:
            raise InputError(f"{matrix}: {error}") from None
        return matrix.name, mixing
    if graph is None:
        raise InputError("--graph: missing; a setting needs one (or --matrix)")
    if agents is None:
        raise InputError("--agents: missing; a graph needs their number")
    try:
        found = TypeAdapter(AnyGraph).validate_python(graph)
    except ValidationError as error:
        raise InputError(f"--graph: {describe(error).removeprefix(': ')}") from None
    if found.is_directed or found.period(agents) > 1:
        kind = "directed" if found.is_directed else "time-varying"
        raise InputError(f"--graph: {graph} is {kind}; the bounds are of one symmetric mixing matrix")
    return found.label(), found.mixing_matrix(agents)


def _numbers(path: Path) -> ndarray:
    """The square matrix of finite numbers in a file, a row in each line."""
    text = read_text(path, "rows of numbers with commas")
    if not any(line.split("#")[0].strip() for line in text.splitlines()):
        raise InputError(f"{path}: holds no numbers; expected rows of numbers with commas")
    try:
        numbers = numpy.loadtxt(io.StringIO(text), delimiter=",", ndmin=2)
    except ValueError as error:
        raise InputError(f"{path}: not rows of numbers with commas ({error})") from None
    if numbers.shape != (len(numbers), len(numbers)) or not numpy.isfinite(numbers).all():
        raise InputError(f"{path}: {numbers.shape}; expected a square of finite numbers")
    if len(numbers) > MOST_AGENTS:
        raise InputError(f"{path}: {len(numbers)} rows; expected at most {MOST_AGENTS}")
    return numbers


def _why_not(mixing: ndarray) -> str:
    """Why a symmetric stochastic matrix does not average: its second eigenvalue is 1 or -1."""
    links = networkx.from_numpy_array(mixing - numpy.diag(mixing.diagonal()))
    if networkx.is_connected(links):
        return (
            "its links connect all agents, but the matrix is periodic: two halves only swap what they have, "
            "as no agent keeps a share of its own; expected a diagonal above 0"
        )
    return "its links do not connect all agents; expected a connected graph"


def own_setting(bound: str, label: str, mixing: ndarray, **constants: float) -> str:
    """The answer in lines of text. ``constants`` go by their symbols' names; s and N are those of ``mixing``.

    Without alpha, the bound is shown at the best and at the largest admissible step size. `InputError` if the
    bound is not known, or a constant missing or not admissible.
    """
    if bound not in DERIVATIONS:
        raise InputError(f"bound: {bound!r}; expected one of {', '.join(DERIVATIONS)}")
    derivation = DERIVATIONS[bound]
    known = {str(symbol) for symbol in derivation.constants()}
    of_graph = {"N": len(mixing), "s": second_eigenvalue(mixing)}
    if of_graph["s"] > 1 - 1e-12:
        raise InputError(f"{label}: sqrt(rho) is {of_graph['s']:.12g}: {_why_not(mixing)}")
    values = {name: value for name, value in (ASSUMED | of_graph).items() if name in known} | constants
    chosen = values.pop("alpha", None)
    largest = derivation.largest_step_size(**values)
    if chosen is None:
        shown = {"best": best_step_size(derivation, largest, values), "largest": largest}
    else:
        shown = {"as given": chosen}
    lines = [
        f"{derivation.title} ({bound}): {derivation.setting}",
        f"{label}, {len(mixing)} agents: spectral gap {1 - of_graph['s']:.6g}",
        *(
            f"  {symbol} = {values[str(symbol)]:g}  ({MEANINGS[symbol]})"
            for symbol in derivation.constants()
            if symbol is not alpha
        ),
        f"taken at {derivation.measures}",
        f"not covered: {derivation.excludes}",
        f"admissible step sizes: 0 < alpha <= {largest:.6g}",
    ]
    for which, step_size in shown.items():
        lines += terms_text(which, step_size, derivation.term_values(alpha=step_size, **values))
    return "\n".join(lines)


def best_step_size(derivation: Derivation, largest: float, values: dict[str, float]) -> float:
    """The admissible step size with the smallest bound, on a grid."""
    grid = largest * numpy.logspace(-6, 0, STEP_SIZES)
    return float(min(grid, key=lambda step_size: derivation.bound(alpha=step_size, **values)))


def terms_text(which: str, step_size: float, terms: dict[str, float]) -> list[str]:
    """The bound at one step size, term by term; the term that rules is marked."""
    total, ruling = sum(terms.values()), max(terms, key=terms.__getitem__)
    return [
        f"at alpha = {step_size:.6g} ({which}) the mean over k < K of E |grad f|^2 is at most {total:.6g}:",
        *(
            f"  {value:12.6g}  {value / total if total else 0:6.1%}  {name}{'  <- rules' * (name == ruling)}"
            for name, value in terms.items()
        ),
    ]
