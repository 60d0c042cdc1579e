"""What the first merge gains by matching, against how much of the disagreement matching leaves."""

from collections.abc import Hashable
from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.config import Run
from dimat.experiment.layout import Layout
from paper.comparisons import distinct, with_unmatched
from paper.figures.audit import FirstMergesFigure, first_merges_of, legend_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class GainFigure(FirstMergesFigure):
    """Is the gain due to agents that agree more?"""

    kind = "audit-gain"

    @override
    def applies(self) -> bool:
        return super().applies() and bool(with_unmatched(self.study))

    @override
    def caption(self) -> str:
        return (
            "What matching is worth at the first merge, against how much of the disagreement, the mean "
            "squared distance of agents from their mean, it leaves. A point is one run, minus the run that "
            "averages without matching and is alike in all else, the seed among it."
        )

    @override
    def draw(self, layout: Layout) -> "Figure":
        import pandas

        from dimat.experiment.cells import labelled
        from paper.measured import by_round, read_shown
        from paper.metrics import unit_of_differences
        from paper.style import COLOURS, MARKERS, WIDTH, pyplot
        from theory.gap.holonomy import ALL

        measured = self.measured(layout)
        whole = measured[measured.layer == ALL].set_index("run")
        left = whole.disagreement_after / whole.disagreement_before
        same = {_merge(run): run.id for run in first_merges_of(self.study) if run.id in left}
        pairs = [(*pair, same.get(_merge(self.study.runs[pair[0]]))) for pair in with_unmatched(self.study)]
        points = pandas.DataFrame([each for each in pairs if each[-1]], columns=["run", "other", "merge"])
        metric = self.study.runs[points.run[0]].task.metric
        of_runs, records = read_shown(layout, distinct([*points.run, *points.other]))
        first = by_round(of_runs, records)[1]
        points["gain"] = first.loc[points.run].to_numpy() - first.loc[points.other].to_numpy()
        points["left"] = left.loc[points["merge"]].to_numpy()
        points = points.join(labelled(of_runs), on="run")
        ways, partitions = distinct(points.rival), distinct(points.partition)
        graphs = list(points.groupby("graph", sort=False))
        shape = {"figsize": (WIDTH, 3.6), "squeeze": False, "sharex": True, "sharey": True}
        figure, axes = pyplot.subplots(1, len(graphs), **shape)
        for panel, (graph, here) in zip(axes[0], graphs, strict=True):
            for (partition, way), found in here.groupby(["partition", "rival"], sort=False):
                look = {"color": COLOURS[partitions.index(partition) % len(COLOURS)], "markersize": 5}
                marker = MARKERS[ways.index(way) % len(MARKERS)]
                panel.plot(found.left, found.gain, marker, alpha=0.7, label=f"{partition}, {way}", **look)
            panel.axhline(0, color="black", linewidth=1)
            panel.set_title(graph)
        axes[0, 0].set_ylabel(f"gain at the first merge\n[{unit_of_differences(metric)}]")
        axes[0, len(graphs) // 2].set_xlabel("disagreement after matching / before")
        legend_of(figure, list(axes[0]))
        return figure


def _merge(run: Run) -> Hashable:
    """What the first merge depends on."""
    return run.pretrained.id, run.graph, run.matching, run.calibration
