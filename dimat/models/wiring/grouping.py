"""From wires to groups: which can be exchanged with which, and with what they take along.

Wires of one colour, that nothing tells apart, can be exchanged. Those under others are exchanged among those
under the same one, and move along with it: channels inside of heads. Colours are refined until wires of one
colour have the same above and below them.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations

import numpy
import torch

from dimat.models.wiring.wires import Wires

Colours = dict[int, int]


@dataclass
class Bundle:
    """Channels that can be exchanged, in order, each with all its wires.

    With ``blocks``, they are so many blocks of equal size, one after the other: these are exchanged as
    wholes, together with those of all bundles of one ``family``, and channels inside of each.
    """

    channels: list[tuple[int, ...]]
    family: int = 0
    blocks: int = 0


@dataclass
class Forest:
    """What stands under what, between wires that stand for all those united with them."""

    upper: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    lower: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))


def bundles(wires: Wires) -> list[Bundle]:
    """All wires that can be exchanged, by the first of them."""
    forest = forest_of(wires)
    colours = refined(first_colours(wires), forest)
    while True:
        if alike := in_step(colours, forest):
            for one, other in alike:
                wires.unite(torch.tensor([one]), torch.tensor([other]))
            forest = forest_of(wires)
            colours = refined(first_colours(wires), forest)
        elif conflict := conflicting(colours, forest, in_vectors(wires)):
            wires.fix(torch.tensor(conflict))
            spread(colours, conflict)
            colours = refined(colours, forest)
        else:
            break
    found = arranged(colours, forest)
    return sorted(found, key=lambda bundle: min(map(min, bundle.channels)))


def forest_of(wires: Wires) -> Forest:
    """Which wires stand under which."""
    forest = Forest()
    for uppers, lowers in wires.under:
        pairs = numpy.unique(numpy.stack([wires.roots(uppers), wires.roots(lowers)]), axis=1)
        for upper, lower in pairs.T.tolist():
            if upper != lower:
                forest.upper[lower].add(upper)
                forest.lower[upper].add(lower)
    return forest


def first_colours(wires: Wires) -> Colours:
    """Colours by where wires occur, and by what tells them apart."""
    marks: dict[int, list[tuple[int | bytes, ...]]] = defaultdict(list)
    roles = wires.roles()
    for axis in wires.axes:
        places = numpy.arange(axis.first, axis.first + axis.size)
        own = wires.roots(places)
        order = numpy.lexsort((roles[places], own))
        found, starts, counts = numpy.unique(own[order], return_index=True, return_counts=True)
        for wire, start, count in zip(found.tolist(), starts.tolist(), counts.tolist(), strict=True):
            several = roles[places[order[start : start + count]]].tobytes() if count > 1 else b""
            marks[wire].append((0, axis.number, count, several))
    for number, (flat, given) in enumerate(wires.colours):
        pairs, counts = numpy.unique(numpy.stack([wires.roots(flat), given]), axis=1, return_counts=True)
        for (wire, colour), count in zip(pairs.T.tolist(), counts.tolist(), strict=True):
            marks[wire].append((1, number, colour, count))
    for uppers, lowers in wires.under:
        for wire in numpy.unique(wires.roots(numpy.concatenate([uppers, lowers]))).tolist():
            marks.setdefault(wire, [])
    for stays in wires.stays:
        for wire in wires.roots(stays).tolist():
            marks[wire] = [(2, wire)]
    return numbered({wire: tuple(of_wire) for wire, of_wire in marks.items()})


def numbered(keys: Mapping[int, object]) -> Colours:
    """Equal keys as equal numbers."""
    known: dict[object, int] = {}
    return {wire: known.setdefault(key, len(known)) for wire, key in keys.items()}


def refined(colours: Colours, forest: Forest) -> Colours:
    """Colours that also tell apart what has different colours above or below it."""
    stacked = set(forest.upper) | set(forest.lower)
    count = len(set(colours.values()))
    while True:
        keys: dict[int, object] = {
            wire: (
                colours[wire],
                tuple(sorted(colours[each] for each in forest.upper.get(wire, ()))),
                tuple(sorted(colours[each] for each in forest.lower.get(wire, ()))),
            )
            for wire in stacked
        }
        keys = {wire: keys.get(wire, colour) for wire, colour in colours.items()}
        colours = numbered(keys)
        if (more := len(set(colours.values()))) == count:
            return colours
        count = more


def sizes_of(colours: Colours) -> Counter[int]:
    """How many wires have each colour."""
    return Counter(colours.values())


def above_each(colours: Colours, forest: Forest) -> dict[int, set[tuple[int, ...]]]:
    """By colour, what wires of it are under, as far as that can be exchanged: one of each colour above."""
    sizes = sizes_of(colours)
    found: dict[int, set[tuple[int, ...]]] = defaultdict(set)
    for wire, uppers in forest.upper.items():
        own = sorted((colours[each], each) for each in uppers if sizes[colours[each]] > 1)
        if len({colour for colour, _ in own}) == len(own) > 1:
            found[colours[wire]].add(tuple(each for _, each in own))
    return found


def in_step(colours: Colours, forest: Forest) -> set[tuple[int, int]]:
    """Pairs of wires that can only be exchanged together: what is under the one is under the other."""
    found = set()
    same: dict[frozenset[int], int] = {}
    for wire, lower in forest.lower.items():
        first = same.setdefault(frozenset(lower), wire)
        if first != wire:
            found.add((first, wire))
    for rows in above_each(colours, forest).values():
        for one, other in combinations(range(len(next(iter(rows)))), 2):
            pairs = {(row[one], row[other]) for row in rows}
            if one_to_one(pairs):
                found |= pairs
    return found


def one_to_one(pairs: set[tuple[int, int]]) -> bool:
    """Whether each first has one second, and each second one first."""
    return len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})


def in_vectors(wires: Wires) -> set[int]:
    """Wires that occur in vectors of the state alone: those of a normalization inside of heads."""
    found: dict[bool, set[int]] = {True: set(), False: set()}
    for axis in wires.axes:
        found[axis.vector].update(wires.roots(numpy.arange(axis.first, axis.first + axis.size)).tolist())
    return found[True] - found[False]


def conflicting(colours: Colours, forest: Forest, vectors: set[int]) -> list[int]:
    """Wires that must be told apart, as what is under them is under others too, in another way; or none.

    Of two such, rather those of vectors, or those with less under them: heads rather stay exchangeable.
    """
    sizes = sizes_of(colours)
    for uppers in forest.upper.values():
        several = Counter(colours[each] for each in uppers if sizes[colours[each]] > 1)
        for colour, count in several.items():
            if count > 1:
                return [each for each, own in colours.items() if own == colour]
    for rows in above_each(colours, forest).values():
        first = next(iter(rows))
        fewer = min(first, key=lambda wire: (wire not in vectors, len(forest.lower[wire])))
        return [each for each, own in colours.items() if own == colours[fewer]]
    for wire, uppers in forest.upper.items():  # what is under wires that are exchanged inside of blocks
        for upper in uppers:
            over = top(upper, colours, forest, sizes)
            if over is not None and sizes[colours[upper]] > max(sizes[colours[over]], 1):
                return [each for each, own in colours.items() if own == colours[wire]]
    return []


def spread(colours: Colours, wires: list[int]) -> None:
    """A colour of its own for each of some wires."""
    first = max(colours.values()) + 1
    for place, wire in enumerate(wires):
        colours[wire] = first + place


def arranged(colours: Colours, forest: Forest) -> list[Bundle]:
    """Bundles of all colours that more than one wire has, or that stand under such."""
    members: dict[int, list[int]] = defaultdict(list)
    for wire in sorted(colours):
        members[colours[wire]].append(wire)
    sizes = sizes_of(colours)
    above = {wire: top(wire, colours, forest, sizes) for wire in colours}
    found: list[Bundle] = []
    lower: dict[int, list[int]] = defaultdict(list)  # colour of the tops: colours of what is under them
    for colour, of_colour in members.items():
        key = above[of_colour[0]]
        if key is not None:
            lower[colours[key]].append(colour)
    for colour, tops in members.items():
        if above[tops[0]] is not None:
            continue
        if len(tops) > 1:
            found += family(tops, [members[each] for each in lower[colour]], above)
    return found


def top(wire: int, colours: Colours, forest: Forest, sizes: Counter[int]) -> int | None:
    """The highest wire above one, along those that can be exchanged; `None` if there is none."""
    here = wire
    while above := [each for each in forest.upper.get(here, ()) if sizes[colours[each]] > 1]:
        here = min(above, key=lambda each: (colours[each], each))
    return None if here == wire else here


def family(tops: list[int], below: list[list[int]], above: dict[int, int | None]) -> list[Bundle]:
    """Blocks that are exchanged as wholes: the tops, and what is below them, colour by colour."""
    carried: dict[int, list[int]] = {wire: [wire] for wire in tops}
    free: list[dict[int, list[int]]] = []
    for of_colour in below:
        of_top: dict[int, list[int]] = {wire: [] for wire in tops}
        for wire in of_colour:
            over = above[wire]
            assert over is not None
            of_top[over].append(wire)
        if len(of_colour) > len(tops):
            free.append(of_top)
        else:  # nothing is exchanged inside: it is a part of its top
            for wire, own in of_top.items():
                carried[wire] += own
    whole = [tuple(carried[wire]) for wire in tops]
    if not free:
        return [Bundle(whole)]
    number = min(tops)
    inside = [
        Bundle([(each,) for wire in tops for each in of_top[wire]], number, len(tops)) for of_top in free
    ]
    return [*inside, Bundle(whole, number, len(tops))]
