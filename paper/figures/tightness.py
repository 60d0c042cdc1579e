"""Bound over measured number, by graph."""

from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from paper.comparisons import distinct
from paper.figures.audit import AuditFigure, beside, judged, legend_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class TightnessFigure(AuditFigure):
    """How much do bounds give away?"""

    kind = "audit-tightness"

    @override
    def caption(self) -> str:
        return "How much bounds give away, by graph: bound over measured number; 1 is attained."

    @override
    def draw(self, layout: Layout) -> "Figure":
        from paper.looks import point_looks
        from paper.style import WIDTH, pyplot

        rows = judged(layout)
        rows = rows[rows.family.isin(["convergence", "disagreement"])]
        rows = rows.assign(ratio=rows.bound / rows.measured, title=rows.statement.str.partition(", tau")[0])
        graphs, kinds = distinct(rows.graph), distinct(rows.title)
        figure, panels = pyplot.subplots(1, 2, figsize=(WIDTH, 3.6), sharey=True)
        looks = point_looks((place, place) for place in range(len(kinds)))
        for panel, claim in zip(panels, ("convergence", "disagreement"), strict=True):
            for place, kind in enumerate(kinds):
                points = rows[(rows.family == claim) & (rows.title == kind)]
                across = points.graph.map(graphs.index) + beside(place, len(kinds))
                panel.plot(across, points.ratio, **looks[place], markersize=3.5, label=kind)
            panel.axhline(1, color="black", linewidth=1)
            panel.set_xticks(range(len(graphs)), graphs, rotation=35, ha="right")
            panel.set(yscale="log", title=claim)
        panels[0].set_ylabel("bound / measured")
        legend_of(figure, panels[:1])
        return figure
