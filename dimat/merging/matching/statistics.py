"""Correlations between the features of networks, accumulated in one pass over images.

All networks run in step, from one group of channels to the next. Features are never stored: at each group,
those of all networks are folded into sums and let go. Every sample and every position of a feature map is
one observation of a channel. Sums are shifted by the first batch's means, and blocks of observations are
added up in double precision, so that many images or large means cost no accuracy.
"""

from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dimat.arithmetic import full_precision
from dimat.merging.calibration import recalibration
from dimat.models.modes import evaluated
from dimat.models.symmetry import Group, Observed

Pair = tuple[int, int]

BLOCK_VALUES = 2**20
"""On a CPU, so many features of all networks are folded at a time: they stay in its cache meanwhile."""
BLOCK_OBSERVATIONS = 1024
"""But no fewer observations, so that the time goes into their products and not into adding those up."""
WASTE = 1.5
"""Links of several networks share a product if it has at most so many times the entries they need."""


def correlations(
    models: dict[int, nn.Module],
    groups: list[Group],
    pairs: list[Pair],
    batches: Iterable[Tensor],
    *,
    batch_statistics: bool = False,
) -> dict[Pair, dict[str, Tensor]]:
    """Correlation of every channel of model i with every channel of model j, for each pair (i, j).

    ``batches`` are normalized images (batch, channels, height, width); all models see the same ones.
    Returns, for each pair and group name, a float64 tensor (C, C) with entry [a, b] in [-1, 1] for
    channel a of i and b of j. A channel that never varies has correlation 0 with all others. Groups that show
    no features are left out.

    Models are evaluated, and their mode is as before when this ends. With ``batch_statistics``, however,
    batch normalization uses the statistics of each batch, and replaces its running statistics by their mean:
    this is `recalibrate` in the same pass.
    """
    groups = [group for group in groups if group.node]
    row = {agent: position for position, agent in enumerate(models)}
    links = sorted({(min(row[i], row[j]), max(row[i], row[j])) for i, j in pairs})
    sums: dict[str, _Sums] = {}
    with ExitStack() as modes, torch.no_grad():
        counters = []
        for model in models.values():
            if batch_statistics:
                counters.append(modes.enter_context(recalibration.batch_statistics(model)))
            else:
                modes.enter_context(evaluated(model))
        views = [Observed(model, groups) for model in models.values()]
        device = next(next(iter(models.values())).parameters()).device
        placed = [(tile, tile.places(device)) for tile in tiles(links)]
        for images in batches:
            for count in counters:
                count(len(images))
            in_step = [view.features(images) for view in views]
            for _ in groups:
                reached = [next(steps) for steps in in_step]
                group, features = reached[0][0], [_observations(features) for _, features in reached]
                if group.name not in sums:
                    sums[group.name] = _Sums(features, links, placed)
                sums[group.name].add(features)
                del reached, features  # let go before the networks run on
            for steps in in_step:
                next(steps, None)  # to the end: normalization may follow the last group
    found = {group.name: sums.pop(group.name).correlations() for group in groups if group.name in sums}
    return {
        (i, j): {
            name: of_links[row[i], row[j]] if row[i] <= row[j] else of_links[row[j], row[i]].T
            for name, of_links in found.items()
        }
        for i, j in pairs
    }


def _observations(features: Tensor) -> Tensor:
    """Features (batch, C, ...) as (observations, C); no copy if they are laid out channels-last."""
    return features.movedim(1, -1).flatten(0, -2)


class _Sums:
    """Running sums of one group's shifted features: of each, of its square, of products of linked networks.

    ``links`` are sorted pairs (i, j), i <= j, of rows of ``features``, the first batch.
    """

    def __init__(
        self, features: Sequence[Tensor], links: list[Pair], tiles: list[tuple["Tile", Tensor | slice]]
    ) -> None:
        networks, (_, size), device = len(features), features[0].shape, features[0].device
        self._links = links
        self._shift = [rows.mean(0, dtype=torch.float32) for rows in features]
        self._count = 0
        self._first = torch.zeros(networks * size, dtype=torch.float64, device=device)
        self._square = torch.zeros(networks * size, dtype=torch.float64, device=device)
        self._product = torch.zeros(len(links), size, size, dtype=torch.float64, device=device)
        self._tiles = tiles

    def add(self, features: Sequence[Tensor]) -> None:
        """Add the features (observations, C) of all networks on the same images."""
        with full_precision(features[0].device):
            self._add(features)

    def _add(self, features: Sequence[Tensor]) -> None:
        count, size = features[0].shape
        self._count += count
        step = max(BLOCK_VALUES // (len(features) * size), BLOCK_OBSERVATIONS)
        if features[0].device.type != "cpu":
            step = count
        # Side by side, so that one network times many is a single product.
        dtype = torch.promote_types(features[0].dtype, torch.float32)
        beside = features[0].new_empty(min(step, count), len(features) * size, dtype=dtype)
        for start in range(0, count, step):
            block = beside[: count - start]
            columns = block.split(size, dim=1)
            for rows, shift, column in zip(features, self._shift, columns, strict=True):
                torch.sub(rows[start : start + step], shift, out=column)
            for tile, which in self._tiles:
                ones = block[:, tile.rows.start * size : tile.rows.stop * size]
                others = block[:, tile.columns.start * size : tile.columns.stop * size]
                product = (ones.T @ others).view(len(tile.rows), size, len(tile.columns), size)
                self._product[tile.links] += product.transpose(1, 2).flatten(0, 1)[which]
            self._first += block.sum(0)
            self._square += block.square_().sum(0)

    def correlations(self) -> dict[Pair, Tensor]:
        """Covariance over the product of standard deviations of each link; 0 where a channel does not vary.

        They lie on the CPU. This uses up the sums.
        """
        shift = torch.stack(self._shift).double()
        mean, square = (total.view_as(shift) / max(self._count, 1) for total in (self._first, self._square))
        variance = square - mean.square()
        # Below single-precision round-off of its own scale a channel is constant.
        varies = variance > 1e-12 * (square + shift.square())
        deviation = torch.where(varies, variance, torch.inf).sqrt()
        for (i, j), product in zip(self._links, self._product, strict=True):
            product.div_(self._count).sub_(torch.outer(mean[i], mean[j]))
            product.div_(torch.outer(deviation[i], deviation[j])).clamp_(-1, 1)
        # Orders are found on the CPU: one copy for all links, for which it waits.
        return dict(zip(self._links, self._product.cpu(), strict=True))


@dataclass
class Tile:
    """Links between some networks (``rows``) and some others (``columns``), found in one product.

    ``links`` are their places among all links, ``which`` their places (row, column) in the product.
    """

    rows: range
    columns: range
    links: slice
    which: tuple[list[int], list[int]]

    def places(self, device: torch.device) -> Tensor | slice:
        """Where its links stand among all pairs of a row and a column, sent to the ``device`` if need be."""
        if len(self.rows) * len(self.columns) == len(self.which[0]):
            return slice(None)
        found = [row * len(self.columns) + column for row, column in zip(*self.which, strict=True)]
        return torch.tensor(found).to(device, non_blocking=True)


def tiles(links: list[Pair]) -> list[Tile]:
    """Sorted links (i, j) in rectangles that are worth a single product each.

    First those (i, first), (i, first + 1), ... (i, last) that follow each other; then those of several i
    together, as long as little is computed that nobody needs.
    """
    runs: list[list[Pair]] = []
    for i, j in links:
        if runs and runs[-1][-1] == (i, j - 1):
            runs[-1].append((i, j))
        else:
            runs.append([(i, j)])
    merged: list[list[Pair]] = []
    for run in runs:
        both = [*merged[-1], *run] if merged else run
        rows, columns = bounds(both)
        if merged and len(rows) * len(columns) <= WASTE * len(both):
            merged[-1] = both
        else:
            merged.append(run)
    found, start = [], 0
    for pairs in merged:
        rows, columns = bounds(pairs)
        which = ([i - rows.start for i, _ in pairs], [j - columns.start for _, j in pairs])
        found.append(Tile(rows, columns, slice(start, start + len(pairs)), which))
        start += len(pairs)
    return found


def bounds(pairs: list[Pair]) -> tuple[range, range]:
    """The rows and the columns of the smallest rectangle that holds all ``pairs``."""
    ones, others = zip(*pairs, strict=True)
    return range(min(ones), max(ones) + 1), range(min(others), max(others) + 1)
