"""Bytes of models that were counted, against their closed form."""

from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from paper.figures.audit import FirstMergesFigure, first_merges_of, legend_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class BytesFigure(FirstMergesFigure):
    """Is what is sent what should be sent?"""

    kind = "audit-bytes"

    @override
    def applies(self) -> bool:
        graphs = (run.graph for run in first_merges_of(self.study))
        return any(graph and not (graph.fails or graph.churn) for graph in graphs)

    @override
    def caption(self) -> str:
        return (
            "Bytes of models, counted where they are sent, against their closed form: links times bytes of a "
            "network times merges, or links times bytes of the parameters times gradient steps. A point is "
            "one run."
        )

    @override
    def draw(self, layout: Layout) -> "Figure":
        from paper.looks import point_looks
        from paper.measured import read_shown
        from paper.panels import labels_in_figures, panel_grid, plain_numbers
        from theory.claims.communication import sent_by_run, with_closed_forms

        runs, records = read_shown(layout, self.study.runs)
        sent = labels_in_figures(runs).join(sent_by_run(records))
        known = with_closed_forms(runs, sent, self.measured(layout))
        known = known[known.expected > 0]
        (panel,), figure = panel_grid(1, columns=1, height=3.2)
        series = list(known.groupby(["method", "words"], sort=False))
        looks = point_looks((place, 0) for place in range(len(series)))
        for place, ((title, words), here) in enumerate(series):
            size = max(3, 9 - place)  # rings around each other, where methods send the same
            look = looks[place] | {"fillstyle": "none", "markersize": size, "label": f"{title}: {words}"}
            panel.plot(here.expected / 1e6, here.models / 1e6, **look)
        ends = [known.expected.min() / 1.5e6, known.expected.max() * 1.5 / 1e6]
        panel.plot(ends, ends, color="black", linewidth=1)
        panel.set(xscale="log", yscale="log", xlabel="closed form [MB, all agents]", ylabel="counted [MB]")
        for axis in (panel.xaxis, panel.yaxis):
            plain_numbers(axis)
        legend_of(figure, [panel])
        return figure
