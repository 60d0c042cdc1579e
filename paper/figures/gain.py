"""What the first merge gains by matching, against how much of the disagreement matching leaves."""

import textwrap
from collections import Counter
from collections.abc import Hashable
from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from dimat.experiment.runs import Run
from paper.comparisons import distinct, like, with_unmatched
from paper.figures.audit import FirstMergesFigure, first_merges_of, legend_of, with_varying

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class GainFigure(FirstMergesFigure):
    """Is the gain due to agents that agree more?"""

    kind = "audit-gain"

    @override
    def applies(self) -> bool:
        return bool(self.pairs())

    def pairs(self) -> list[tuple[str, str, str]]:
        """Ids of a run of DIMAT, of that which averages, and of that whose first merge was measured."""
        measured = {_merge(run): run.id for run in first_merges_of(self.study)}
        runs = self.study.runs
        found = [(*pair, measured.get(_merge(runs[pair[0]]))) for pair in with_unmatched(self.study)]
        return [(own, other, merge) for own, other, merge in found if merge]

    @override
    def caption(self) -> str:
        return (
            "What matching is worth at the first merge, against how much of the disagreement, the mean "
            "squared distance of agents from their mean, it leaves. A point is one run, minus the run that "
            "averages without matching and is alike in all else, the seed among it, of which there are "
            f"{self._seeds()}. Marked as primary: the comparison that decides the claim initial-gain."
        )

    def _seeds(self) -> str:
        counts = Counter(like(self.study.runs[own], seed=0).id for own, *_ in self.pairs()).values()
        return " to ".join(map(str, sorted({min(counts), max(counts)})))

    @override
    def draw(self, layout: Layout) -> "Figure":
        import pandas

        from paper.looks import point_looks
        from paper.measured import by_round, read_shown
        from paper.metrics import unit_of_differences
        from paper.panels import labels_in_figures, panel_grid
        from theory.claims.claim import primaries
        from theory.gap.holonomy import ALL

        measured = self.measured(layout)
        whole = measured[measured.layer == ALL].set_index("run")
        left = whole.disagreement_after / whole.disagreement_before
        points = pandas.DataFrame(self.pairs(), columns=["run", "other", "merge"])
        metric = self.study.runs[points.run[0]].task.metric
        of_runs, records = read_shown(layout, distinct([*points.run, *points.other]))
        first = by_round(of_runs, records)[1]
        points["gain"] = first.loc[points.run].to_numpy() - first.loc[points.other].to_numpy()
        points["left"] = left.loc[points["merge"]].to_numpy()
        points = points.join(labels_in_figures(of_runs), on="run")
        compared = primaries()["initial-gain"]
        points["mark"] = [
            " (primary)" if compared.joins(dict(of_runs.loc[own]), dict(of_runs.loc[other])) else ""
            for own, other in zip(points.run, points.other, strict=True)
        ]
        points["where"] = with_varying(points, points.partition)
        ways, places = distinct(points.rival), distinct(points["where"])
        graphs = list(points.groupby("graph", sort=False))
        series = distinct(zip(points["where"], points.rival, strict=True))
        wanted = ((places.index(place), ways.index(way)) for place, way in series)
        looks = dict(zip(series, point_looks(wanted), strict=True))
        panels, figure = panel_grid(len(graphs), columns=3, height=2.7, sharex=True, sharey=True)
        for panel, (graph, here) in zip(panels, graphs, strict=True):
            for (place, way, mark), found in here.groupby(["where", "rival", "mark"], sort=False):
                look = looks[str(place), str(way)] | {
                    "markersize": 5,
                    "alpha": 0.7,
                    "label": f"{place}, {way}{mark}",
                }
                panel.plot(found.left, found.gain, **look)
            panel.axhline(0, color="black", linewidth=1)
            panel.set_title("\n".join(textwrap.wrap(str(graph), 40)))
        for panel in panels[::3]:
            panel.set_ylabel(f"gain at the first merge\n[{unit_of_differences(metric)}]")
        for panel in panels[-3:]:
            panel.set_xlabel("disagreement after\nmatching / before")
        legend_of(figure, panels)
        return figure


def _merge(run: Run) -> Hashable:
    """What the first merge depends on."""
    return run.pretrained.id, run.graph, run.matching, run.calibration
