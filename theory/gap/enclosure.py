"""Numbers in balls that surely contain them, so that no verdict hangs on round-off.

Matrices are exact (rational), eigenvalues and norms are python-flint balls around them at the precision of
`flint.ctx`. `is_less` raises it until the balls are apart. Balls can tell numbers apart, but never prove them
equal: that takes an argument, such as the identity of two matrices or of two polynomials.
"""

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add, mul

import mpmath
import numpy
import sympy
from flint import acb, arb, arb_mat, ctx, fmpq, fmpq_mat, fmpq_poly
from numpy import ndarray

from dimat.errors import InputError
from dimat.topology.mixing import round_off

DOUBLE = 53
"""Bits of the precision of numpy."""

MOST_BITS = 424


def is_less(left: Callable[[], arb], right: Callable[[], arb], most_bits: int = MOST_BITS) -> bool | None:
    """Whether ``left`` < ``right``, both computed anew at each precision from `DOUBLE` to ``most_bits``.

    `None` if the balls still overlap: the numbers are equal, or too close for this precision.
    """
    bits = DOUBLE
    while bits <= most_bits:
        with ctx.workprec(bits):
            less, more = left(), right()
            if less < more or less >= more:
                return bool(less < more)
        bits *= 2
    return None


def exact_mixing(mixing: ndarray) -> fmpq_mat:
    """The rational matrix that ``mixing`` (N, N) rounds: links weigh 1 / n, and agents keep the rest.

    `InputError` unless it is that up to round-off, with n at most N: as `metropolis`, `uniform` and directed
    weights are, and `fastest` weights are not.
    """
    agents = len(mixing)
    exact = fmpq_mat(agents, agents)
    for i, j in numpy.argwhere(mixing).tolist():
        if i != j:
            exact[i, j] = fmpq(1, min(max(1, round(1 / mixing[i, j])), agents))
    for i in range(agents):
        exact[i, i] = 1 - sum((exact[i, j] for j in range(agents)), start=fmpq(0))
    entries = [[int(entry.p) / int(entry.q) for entry in row] for row in exact.tolist()]
    off = abs(numpy.array(entries) - mixing).max()
    if off > round_off(mixing):
        raise InputError(f"mixing matrix: {off:.3g} off weights of links 1 / n and rows that sum to 1")
    return exact


def ball(expression: sympy.Basic) -> acb:
    """A closed form of rationals, pi, sines, cosines and roots. `InputError` for anything else."""
    if isinstance(expression, sympy.Rational):
        return acb(fmpq(int(expression.p), int(expression.q)))
    if expression is sympy.pi:
        return acb.pi()
    if expression is sympy.I:
        return acb(0, 1)
    arguments = [ball(argument) for argument in expression.args]
    known = {
        sympy.Add: lambda *terms: reduce(add, terms),
        sympy.Mul: lambda *factors: reduce(mul, factors),
        sympy.Pow: lambda base, power: base**power,
        sympy.sin: acb.sin,
        sympy.cos: acb.cos,
        sympy.Abs: lambda value: acb(abs(value)),
    }
    if expression.func not in known:
        raise InputError(
            f"closed form: {expression.func.__name__} is not of rationals, pi, +, *, ^, sin and cos"
        )
    return known[expression.func](*arguments)


def eigenvalues(matrix: fmpq_mat | arb_mat) -> list[arb]:
    """Enclosures of the eigenvalues of a symmetric matrix, ascending; they may be multiple.

    From approximate eigenvectors V and eigenvalues D, with R = A V - V D and e = ||V^T V - I||_F < 1: V = Q H
    with Q orthogonal and ||H - I|| <= e, so Q^T A Q - D = Q^T R - Q^T A Q (H - I) + (H - I) D, and by Weyl's
    theorem the k-th eigenvalue is within ||R|| + e (||A|| + ||D||) of the k-th entry of D.
    `InputError` unless the matrix is symmetric; `ArithmeticError` if the eigenvectors are of no use.
    """
    a = arb_mat(matrix)
    n = a.nrows()
    if not (matrix.transpose() == matrix if isinstance(matrix, fmpq_mat) else a.overlaps(a.transpose())):
        raise InputError("matrix: it is not symmetric, so its eigenvalues are not enclosed")
    values, vectors = _approximate(a)
    diagonal = arb_mat([[values[i] if i == j else 0 for j in range(n)] for i in range(n)])
    one = arb_mat([[int(i == j) for j in range(n)] for i in range(n)])
    skew = frobenius(vectors.transpose() * vectors - one)
    if not skew < 1:
        raise ArithmeticError("approximate eigenvectors are far from orthogonal")
    residual = frobenius(a * vectors - vectors * diagonal)
    radius = residual + skew * (frobenius(a) + frobenius(diagonal))
    return [arb(value, radius.upper()) for value in values]


def _approximate(a: arb_mat) -> tuple[list[arb], arb_mat]:
    """Eigenvalues, ascending, and eigenvectors of the midpoint: exact numbers, near what they should be."""
    if ctx.prec <= DOUBLE:
        middle = numpy.array([[float(x.mid()) for x in row] for row in a.tolist()])
        values, vectors = numpy.linalg.eigh((middle + middle.T) / 2)
        return [arb(float(value)) for value in values], arb_mat(vectors.tolist())
    with mpmath.workprec(ctx.prec + 20):
        rows = [[mpmath.mpf(tuple(map(int, x.mid().man_exp()))) for x in row] for row in a.tolist()]
        values, vectors = mpmath.mp.eigsy(mpmath.matrix(rows))
        order = sorted(range(len(rows)), key=lambda k: values[k])
        sorted_vectors = [[arb(vectors[i, k]).mid() for k in order] for i in range(len(rows))]
        return [arb(values[k]).mid() for k in order], arb_mat(sorted_vectors)


def frobenius(matrix: arb_mat) -> arb:
    """The Frobenius norm, which is at least the 2-norm."""
    return sum((x * x for x in matrix.entries()), start=arb(0)).nonnegative_part().sqrt()


def norm(matrix: fmpq_mat) -> arb:
    """||A||_2, from the eigenvalues of A if it is symmetric, and else from those of A^T A."""
    if matrix == matrix.transpose():
        values = eigenvalues(matrix)
        return abs(values[0]).max(abs(values[-1]))
    return eigenvalues(matrix.transpose() * matrix)[-1].nonnegative_part().sqrt()


def second_modulus(matrix: fmpq_mat) -> arb:
    """The largest modulus of the eigenvalues other than 1 of any rational matrix; 0 if there is none.

    The eigenvalues are the roots of the characteristic polynomial without all its factors x - 1, which is
    exact. `InputError` if 1 is no eigenvalue, so that the matrix is not stochastic.
    """
    polynomial, factor = matrix.charpoly(), fmpq_poly([-1, 1])
    if polynomial(1) != 0:
        raise InputError("matrix: 1 is none of its eigenvalues; expected a stochastic matrix")
    while polynomial(1) == 0:
        polynomial, _ = divmod(polynomial, factor)
    return reduce(arb.max, (abs(root) for root, _ in _roots(polynomial)), arb(0))


def are_eigenvalues(values: Sequence[sympy.Expr], matrix: fmpq_mat, bits: int = 212) -> bool:
    """Whether closed forms agree with all eigenvalues of a rational matrix, with multiplicities.

    False is a proof that they are wrong. True says that the ball of each root of the characteristic
    polynomial, apart from all others, meets as many closed forms as the root is multiple, at ``bits`` bits.
    """
    with ctx.workprec(bits):
        balls = [ball(value) for value in values]
        roots = _roots(matrix.charpoly())
        met = [sum(root.overlaps(value) for value in balls) for root, _ in roots]
        return len(balls) == matrix.nrows() and met == [times for _, times in roots]


def _roots(polynomial: fmpq_poly) -> list[tuple[acb, int]]:
    """The complex roots and how multiple each is."""
    return polynomial.numer().complex_roots()  # pyright: ignore[reportReturnType]  # stub: only the roots
