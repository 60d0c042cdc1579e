"""Who holds how many images of which class, in each phase of one partition."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from typing_extensions import override

from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.experiment.runs import Partitioned
from paper.comparisons import numbered
from paper.shown import PaperFigure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class HoldingsFigure(PaperFigure):
    """One partition, of the first seed."""

    kind = "holdings"
    partitioned: Partitioned = field(kw_only=True)

    @classmethod
    @override
    def of(cls, study: Study) -> Iterator[Self]:
        found: dict[Any, Partitioned] = {}
        for run in study.runs.values():
            if run.partition:
                found.setdefault((run.data, run.partition, run.agents), run.partitioned)
        named = (("-".join(each.words()[:-1]), each) for each in found.values())
        for name, partitioned in numbered(named).items():
            yield cls(study, name, partitioned=partitioned)

    @override
    def caption(self) -> str:
        each = self.partitioned
        return (
            f"Who holds what: {each.partition.label() if each.partition else 'all'}, {each.agents} agents, "
            f"seed {each.seed}. The area of a disc is the number of training images."
        )

    @override
    def reads(self, layout: Layout) -> list[Path]:
        return [layout.partitioned(self.partitioned.id)]

    @override
    def draw(self, layout: Layout) -> "Figure":
        import numpy

        from dimat.io.files import read_json
        from paper.drawn import drawn
        from paper.style import COLOURS, WIDTH, pyplot

        (path,) = self.reads(layout)
        held = read_json(path)
        before, between = ([agent["images"] for agent in held[phase]] for phase in ("pretrain", "train"))
        titles = {"train": ""}
        if before != between:
            titles = {"pretrain": "before the first merge\n", "train": "between merges\n"}
        agents, classes = len(held["train"]), len(held["classes"])
        names = drawn(held["classes"]) if classes <= 20 else []
        longest = max(map(len, names), default=0)
        height = 1.2 + 0.28 * min(agents, 20) * len(titles) + 0.05 * max(0, longest - 10) * len(titles)
        figure, axes = pyplot.subplots(len(titles), 1, figsize=(WIDTH * 0.6, height), squeeze=False)
        for panel, (phase, title) in zip(axes[:, 0], titles.items(), strict=True):
            counts = numpy.array([agent["counts"] for agent in held[phase]])
            label, agent = numpy.meshgrid(range(classes), range(agents))
            areas = 170 * min(1, 10 / classes) * counts / counts.max()
            panel.scatter(label, agent, s=areas, color=COLOURS[0], linewidths=0, zorder=3)
            panel.set(xlim=(-0.7, classes - 0.3), ylim=(agents - 0.4, -0.6), ylabel="agent (images)")
            panel.set_yticks(range(agents), [f"{i}  ({n:,})" for i, n in enumerate(counts.sum(1))])
            if names:
                tilt = 40 if longest > 3 else 0
                align = "right" if tilt else "center"
                panel.set_xticks(range(classes), names, rotation=tilt, ha=align)
            panel.set_title(f"{title}largest disc: {counts.max():,} images")
        axes[-1, 0].set_xlabel("class")
        return figure
