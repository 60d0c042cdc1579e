"""The table of rates: what it says is what the derivations say for many steps."""

import pytest
import sympy

from paper.tables.rates import STEP_SIZE, RatesTable, split
from theory.bounds.derivations import CLASSICAL
from theory.bounds.derivations.published import PUBLISHED_RATES
from theory.bounds.derivations.symbols import K, alpha

VALUES = {"L": 2.0, "N": 5, "sigma": 0.7, "kappa": 0.3, "s": 0.4, "tau": 4, "beta": 0.6}
VALUES |= {"m": 0.5, "M": 1.5, "gap_0": 1.3, "Xi_0": 0.2, "K": 1e14, "alpha": (5 / 1e14) ** 0.5}


@pytest.mark.parametrize("bound", CLASSICAL, ids=lambda each: each.key)
def test_leading_terms_are_the_bound_for_many_steps(bound):
    known = {symbol: VALUES[str(symbol)] for symbol in bound.constants()}
    floor, scaled, rest = split(term.subs(alpha, STEP_SIZE) for term in bound.terms.values())
    assert (floor == 0) == (bound.key != "adam") and rest == 1 / K
    leading = float((floor + sum(scaled) / sympy.sqrt(VALUES["N"] * K)).subs(known))
    assert bound.bound(**{str(symbol): value for symbol, value in known.items()}) == pytest.approx(
        leading, rel=1e-4
    )


def test_methods_are_those_of_the_published_table():
    rows = RatesTable(None).rows(None)
    assert len(rows) == len(CLASSICAL) + len(PUBLISHED_RATES)
    assert {"SGP", "CGA"} < set(rows.method)
    assert all("arXiv" in source for source in rows.source if source != "derived here")
