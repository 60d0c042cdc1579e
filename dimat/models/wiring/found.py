"""The groups of a network, from its wires: members in tensors of the state, and where features are seen."""

from collections import defaultdict
from collections.abc import Sequence

import numpy

from dimat.models.groups import Group, Member
from dimat.models.wiring.flow import Feature
from dimat.models.wiring.grouping import Bundle, bundles
from dimat.models.wiring.wires import Axis, Wires


def groups_of(wires: Wires, features: Sequence[Feature]) -> list[Group]:
    """The groups of a network whose ``features`` were seen on the way.

    Groups without tensors are left out.
    """
    found = bundles(wires)
    owner = numpy.full(len(wires.parent), -1)  # the bundle of each wire, its channel, its place in that
    rank = numpy.full(len(wires.parent), -1)
    for number, bundle in enumerate(found):
        for channel, own in enumerate(bundle.channels):
            for wire in own:
                owner[wire], rank[wire] = number, channel
    roles = wires.roles()
    members: list[list[tuple[Axis, Member]]] = [[] for _ in found]
    for axis in wires.axes:
        roots = wires.roots(numpy.arange(axis.first, axis.first + axis.size))
        for number in numpy.unique(owner[roots]):
            if number >= 0:
                own, size = owner[roots] == number, len(found[number].channels)
                places = placed(roots, own, rank, size, roles[axis.first : axis.first + axis.size])
                members[number] += [(axis, each) for each in member_of(axis, places)]
    seen = last_seen(wires, features, found, owner, rank, roles)
    return named(wires, found, [ordered(wires, *each) for each in zip(found, members, strict=True)], seen)


def placed(
    roots: numpy.ndarray, own: numpy.ndarray, rank: numpy.ndarray, size: int, roles: numpy.ndarray
) -> numpy.ndarray:
    """The places (size, entries) of each channel's wires along an axis, each channel's in the same order."""
    places = numpy.flatnonzero(own)
    order = numpy.lexsort((places, roles[places], rank[roots[places]]))
    return places[order].reshape(size, -1)


def member_of(axis: Axis, places: numpy.ndarray) -> list[Member]:
    """An axis of a tensor as a member, under each name of the tensor."""
    start, block = int(places[0, 0]), places.shape[1]
    regular = numpy.array_equal(places.ravel(), numpy.arange(start, start + places.size))
    listed = () if regular else tuple(places.ravel().tolist())
    return [Member(name, axis.axis, block, start if regular else 0, listed, axis.rows) for name in axis.names]


def ordered(wires: Wires, bundle: Bundle, members: list[tuple[Axis, Member]]) -> tuple[Member, ...]:
    """Members by the layers that put out the channels, each with all that takes them, as time went by."""
    home = wires.axis_of[bundle.channels[0][0]]

    def key(each: tuple[Axis, Member]) -> tuple[bool, int, int]:
        homes = each[0].homes or (each[0].number,)
        own = [number for number in homes if any(axis.number == number for axis, _ in members)] or homes
        return (home not in homes, own[0], each[0].time)

    return tuple(dict.fromkeys(member for _, member in sorted(members, key=key)))


def last_seen(
    wires: Wires,
    features: Sequence[Feature],
    found: list[Bundle],
    owner: numpy.ndarray,
    rank: numpy.ndarray,
    roles: numpy.ndarray,
) -> dict[int, tuple[Feature, numpy.ndarray]]:
    """Where each bundle's features are seen last, and their places.

    Rather once than twice side by side (queries and keys), rather in the result of a node than inside of it.
    """
    seen: dict[int, tuple[tuple[bool, bool], Feature, numpy.ndarray]] = {}
    for each in features:  # later ones replace earlier ones that are no better
        roots = wires.roots(numpy.maximum(each.wires.numpy(), 0))
        owners = owner[roots]
        for number in numpy.unique(owners).tolist():
            if number < 0:
                continue
            size = len(found[number].channels)
            own = owners == number
            shown, counts = numpy.unique(roots[own], return_counts=True)
            channels = numpy.bincount(rank[shown], minlength=size)
            if (counts == counts[0]).all() and (channels == channels[0]).all():
                worth = (bool(counts[0] == 1), each.step < 0)
                if number not in seen or worth >= seen[number][0]:
                    seen[number] = (worth, each, placed(roots, own, rank, size, roles[each.wires.numpy()]))
    return {number: (each, places) for number, (_, each, places) in seen.items()}


def named(
    wires: Wires,
    found: list[Bundle],
    members: list[tuple[Member, ...]],
    seen: dict[int, tuple[Feature, numpy.ndarray]],
) -> list[Group]:
    """Groups with names of their own, after where they are seen."""
    at: dict[tuple[str, int], list[int]] = defaultdict(list)
    for number, (where, _) in seen.items():
        if members[number]:
            at[where.node, where.step].append(number)
    groups = []
    families: dict[int, str] = {}
    for number, (bundle, own) in enumerate(zip(found, members, strict=True)):
        if not own:
            continue
        size = len(bundle.channels)
        node, first, axis, places, step = "", 0, 1, (), -1
        name = own[0].name
        if number in seen:
            where, spots = seen[number]
            node, axis, step = where.node, where.axis, where.step
            first = int(spots.min())
            regular = numpy.array_equal(spots.ravel(), numpy.arange(first, first + size))
            places = () if regular else tuple(spots.ravel().tolist())
            first = first if regular else 0
            name = node if step < 0 else f"{node}.{step}"
            if len(at[node, step]) > 1:
                name += f"[{first}:{first + size}]" if regular else f"[{spots.min()}...]"
        family = families.setdefault(bundle.family, f"heads of {name}") if bundle.blocks else ""
        groups.append(Group(name, size, own, node, first, axis, places, step, family, bundle.blocks))
    return distinct(groups)


def distinct(groups: list[Group]) -> list[Group]:
    """Groups of one name, numbered."""
    taken: dict[str, int] = {}
    found = []
    for group in groups:
        count = taken[group.name] = taken.get(group.name, 0) + 1
        if count > 1:
            group = Group(**{**vars(group), "name": f"{group.name}#{count}"})
        found.append(group)
    return found
