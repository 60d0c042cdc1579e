"""Every reading of sqrt(rho') with each kind of permutations, against sqrt(rho)."""

from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from paper.comparisons import distinct
from paper.figures.audit import AuditFigure, beside, judged, legend_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class ReadingsFigure(AuditFigure):
    """Can permutations widen the spectral gap?"""

    kind = "audit-readings"

    @override
    def caption(self) -> str:
        return (
            "Every reading of sqrt(rho') off the merge operator, the mixing weights combined with "
            "permutations of each kind (drifted: consistent ones of which half of the coordinates of each "
            "link are matched at random). None lies below sqrt(rho): permutations cannot widen the spectral "
            "gap."
        )

    @override
    def draw(self, layout: Layout) -> "Figure":
        from paper.looks import point_looks
        from paper.style import WIDTH, pyplot

        rows = judged(layout)
        rows = rows[(rows.family == "spectral-gap") & rows.statement.str.endswith("permutations")]
        parts = rows.statement.str.removesuffix(" permutations").str.rpartition(", ")
        rows = rows.assign(reading=parts[0], kind=parts[2])
        cases = list(rows.groupby(["graph", "agents"], sort=False))
        readings, kinds = distinct(rows.reading), distinct(rows.kind)
        figure, panels = pyplot.subplots(1, len(cases), figsize=(WIDTH, 3.0), sharey=True, squeeze=False)
        looks = point_looks((place, place) for place in range(len(readings)))
        for panel, ((graph, agents), case) in zip(panels[0], cases, strict=True):
            for place, reading in enumerate(readings):
                points = case[case.reading == reading]
                across = points.kind.map(kinds.index) + beside(place, len(readings))
                panel.plot(across, points.measured, **looks[place], markersize=4, label=reading)
            root = case[case.kind == "no"].measured.min()
            panel.axhline(root, color="black", linewidth=1, label=r"$\sqrt{\rho}$")
            panel.set_xticks(range(len(kinds)), kinds, rotation=40, ha="right")
            panel.set_title(f"{graph}, {agents:.0f} agents", fontsize=8)
        panels[0, 0].set(ylabel=r"$\sqrt{\rho'}$", ylim=(-0.05, None))
        legend_of(figure, panels[0, :1])
        return figure
