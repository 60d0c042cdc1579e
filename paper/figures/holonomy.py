"""Real networks at their first merge, by layer: cycles, orbits, and the second eigenvalue."""

import textwrap
from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from paper.comparisons import distinct
from paper.figures.audit import FirstMergesFigure, beside, legend_of, with_varying

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = {
    "closed_share": "return around a cycle\n[share]",
    "orbit_share": "orbits / coordinates",
    "eigenvalue": r"$\sqrt{\rho'}$ by eigenvalues",
}


class HolonomyFigure(FirstMergesFigure):
    """Do matches agree around cycles?"""

    kind = "audit-holonomy"

    @override
    def caption(self) -> str:
        return (
            "Permutations that matching found between the networks of this study at their first merge, by "
            "layer and over all parameters. Return: coordinates that are matched with themselves around a "
            "cycle. Repeated merging averages what shares an orbit. Where all return, rho' = rho."
        )

    @override
    def draw(self, layout: Layout) -> "Figure":
        from paper.looks import point_looks
        from paper.panels import panel_rows

        rows = self.measured(layout)
        rows = rows.assign(orbit_share=rows.orbits / rows["size"])
        rows["rival"] = with_varying(rows, rows.rival)
        layers, ways = (distinct(rows[name]) for name in ("layer", "rival"))
        looks = point_looks((place, place) for place in range(len(ways)))
        graphs = list(rows.groupby(["graph", "agents"], sort=False))
        several = rows.agents.nunique() > 1
        axes, figure = panel_rows(len(graphs), columns=3, height=1.9, sharex=True)
        for across, ((graph, agents), here) in zip(axes, graphs, strict=True):
            for panel, name in zip(across, SHOWN, strict=True):
                for place, way in enumerate(ways):
                    points = here[here.rival == way]
                    places = points.layer.map(layers.index) + beside(place, len(ways))
                    look = looks[place] | {"markersize": 3, "alpha": 0.7, "label": way}
                    panel.plot(places, points[name], **look)
                panel.set_ylim(-0.05, 1.08)
                panel.set_xticks(range(len(layers)), layers, rotation=40, ha="right", fontsize=7)
            root = here.root.iloc[0]
            across[-1].axhline(root, color="black", linewidth=1)
            across[-1].annotate(r"$\sqrt{\rho}$", (0, root), (-8, 3), textcoords="offset points")
            across[0].set_ylabel(textwrap.fill(f"{graph}, {agents} agents" if several else str(graph), 24))
        for panel, title in zip(axes[0], SHOWN.values(), strict=True):
            panel.set_title(title, fontsize=8)
        legend_of(figure, axes[0, :1])
        return figure
