"""Every communication graph with its spectral gap; of one that changes in time, all its links."""

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from paper.comparisons import distinct
from paper.shown import PaperFigure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class GraphsFigure(PaperFigure):
    """Who talks to whom."""

    kind = "graphs"

    @override
    def applies(self) -> bool:
        return any(run.graph for run in self.study.runs.values())

    @override
    def caption(self) -> str:
        return (
            "Communication graphs and their spectral gaps: 1 minus the second largest modulus of the "
            "eigenvalues of the mixing matrix."
        )

    @override
    def reads(self, layout: Layout) -> list[Path]:
        return []

    @override
    def draw(self, layout: Layout) -> "Figure":
        import networkx

        from paper.panels import panel_grid
        from paper.style import verbatim

        runs = self.study.runs.values()
        graphs = distinct((run.graph, run.agents) for run in runs if run.graph)
        panels, figure = panel_grid(len(graphs), columns=4, height=1.3)
        ink = {"node_color": "#cfe3f1", "edge_color": "#555555", "node_size": 180, "font_size": 8}
        for panel, (graph, agents) in zip(panels, graphs, strict=True):
            panel.set_axis_off()
            links = graph.network(agents)
            networkx.draw_networkx(links, networkx.circular_layout(links), ax=panel, **ink)
            changes = "time-varying, " if graph.period(agents) > 1 else ""
            title = textwrap.fill(verbatim(f"{graph.label()}, {agents} agents"), 32)
            panel.set_title(f"{title}\n{changes}spectral gap {1 - graph.contraction(agents):.3f}")
            panel.margins(0.2)
        return figure
