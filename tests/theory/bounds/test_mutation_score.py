"""The page on mutations, and the command that prints it."""

from collections import Counter
from pathlib import Path

from theory.bounds.derivations import DERIVATIONS
from theory.bounds.derivations.mutation_score import Fate, fates, page
from theory.bounds.derivations.mutations import Mutant, mutants

PAGE = Path(__file__).parents[3] / "docs" / "mutations.md"


def test_all_mutants_are_dealt_and_each_once():
    every = 60
    found = fates(["gossip"], every)
    expected = Counter((each.place, each.kind) for each in list(mutants(DERIVATIONS["gossip"]))[::every])
    assert Counter((each.place, each.kind) for each in found) == expected
    assert fates(["gossip"], every, processes=2) == found
    assert {each.outcome for each in found} == {"rejected"}


def test_the_page_is_of_the_derivations_as_they_are():
    text = PAGE.read_text()
    for key, derivation in DERIVATIONS.items():
        assert f"| {key} | {len(list(mutants(derivation)))} |" in text, key
    assert text.count("\n- adam, axiom: distances from the mean, scaled:") == 1  # as the page explains


def test_mutants_of_all_derivations_are_rejected_or_claim_less(long):
    found = fates(list(DERIVATIONS), every=20 if long else 1000)
    survivors = {(each.derivation, each.place) for each in found if each.outcome == "SURVIVED"}
    assert survivors <= {("adam", "axiom: distances from the mean")}


def test_a_page():
    fate = Fate("gossip", "descent", "scaled", "rejected", "a => b")
    others = [
        Fate("gossip", "rate", "scaled", "not stronger", "a => b"),
        Fate("adam", "descent", "factor dropped", "SURVIVED", "a => c"),
    ]
    text = page([fate, fate, fate, *others])
    assert "| gossip | 4 | 3 | 1 | 0 | 100.00 % |" in text
    assert "| adam | 1 | 0 | 0 | 1 | 0.00 % |" in text
    assert "| all | 5 | 3 | 1 | 1 | 75.00 % |" in text
    assert "- gossip, rate: 1" in text and "- adam, descent, factor dropped: `a => c`" in text
    assert page([fate]).endswith("There is none.")


def test_what_claims_less_is_told_from_what_claims_more():
    gossip = DERIVATIONS["gossip"]
    for factor, less in ((2, True), (1, True), (0.9, False)):
        term = gossip.terms["heterogeneity"]
        assert Mutant(gossip, "bound", "scaled", term, factor * term).nowhere_below() == less


def test_the_command(dimat):
    done = dimat("mutations", "gossip", "--every", "150")
    assert done.returncode == 0 and done.stdout.startswith("# Mutations of the derivations\n")
    assert "| all | 3 | 3 | 0 | 0 | 100.00 % |" in done.stdout
    wrong = dimat("mutations", "gosip")
    assert wrong.returncode == 2
    assert "mutations: 'gosip'; expected some of gossip, " in wrong.stderr
