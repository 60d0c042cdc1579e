"""Every bound against what was measured; below the diagonal a bound would be violated."""

from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from paper.comparisons import distinct
from paper.figures.audit import AuditFigure, judged, legend_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MEASURED = {"convergence": r"$\|\nabla f(\bar x_k)\|^2$", "disagreement": r"$\Xi_k$"}


class BoundsFigure(AuditFigure):
    """Do bounds hold?"""

    kind = "audit-bounds"

    @override
    def caption(self) -> str:
        return (
            "Derived bounds against what the library's own methods did, on problems with known constants: "
            "means with 95 % intervals over seeds. A point below the line would violate its bound."
        )

    @override
    def draw(self, layout: Layout) -> "Figure":
        from paper.looks import point_looks
        from paper.panels import plain_numbers
        from paper.style import WIDTH, pyplot

        rows = judged(layout)
        figure, panels = pyplot.subplots(1, 2, figsize=(WIDTH, 3.6))
        problems = distinct(rows.problem)
        looks = dict(
            zip(problems, point_looks((place, place) for place in range(len(problems))), strict=True)
        )
        for panel, (claim, quantity) in zip(panels, MEASURED.items(), strict=True):
            of_claim = rows[rows.family == claim]
            for problem, points in of_claim.groupby("problem", sort=False):
                look = looks[problem] | {"markersize": 3.5, "elinewidth": 0.7, "label": problem}
                apart = [points.measured - points.low, points.high - points.measured]
                panel.errorbar(points.measured, points.bound, xerr=apart, **look)
            ends = [of_claim.measured.min() / 2, of_claim.bound.max() * 2]
            panel.plot(ends, ends, color="black", linewidth=1)
            text = {"textcoords": "offset points", "fontsize": 7}
            panel.annotate("measured = bound", (ends[0], ends[0]), (4, -2), **text)
            panel.set(xscale="log", yscale="log", ylabel="bound", xlabel=f"measured mean of {quantity}")
            panel.set_title(f"{claim}, {len(of_claim)} settings")
            for axis in (panel.xaxis, panel.yaxis):
                plain_numbers(axis)
        legend_of(figure, panels)
        return figure
