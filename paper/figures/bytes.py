"""Bytes of models that were counted, against their closed form."""

from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from paper.figures.audit import FirstMergesFigure, legend_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class BytesFigure(FirstMergesFigure):
    """Is what is sent what should be sent?"""

    kind = "audit-bytes"

    @override
    def caption(self) -> str:
        return (
            "Bytes of models, counted where they are sent, against their closed form: links times bytes of a "
            "network times merges, or links times bytes of the parameters times gradient steps. A point is "
            "one run."
        )

    @override
    def draw(self, layout: Layout) -> "Figure":
        from dimat.experiment.cells import labelled
        from paper.measured import read_shown
        from paper.panels import panel_grid, plain_numbers
        from paper.style import COLOURS
        from theory.claims.communication import sent_by_run, with_closed_forms

        runs, records = read_shown(layout, self.study.runs)
        sent = labelled(runs).join(sent_by_run(records))
        known = with_closed_forms(runs, sent, self.measured(layout))
        (panel,), figure = panel_grid(1, columns=1, height=3.2)
        for place, ((title, words), here) in enumerate(known.groupby(["method", "words"], sort=False)):
            x, y, colour = here.expected / 1e6, here.models / 1e6, COLOURS[place % len(COLOURS)]
            size = max(3, 9 - place)  # rings around each other, where methods send the same
            panel.plot(x, y, "o", color=colour, markersize=size, fillstyle="none", label=f"{title}: {words}")
        ends = [known.expected.min() / 1.5e6, known.expected.max() * 1.5 / 1e6]
        panel.plot(ends, ends, color="black", linewidth=1)
        panel.set(xscale="log", yscale="log", xlabel="closed form [MB, all agents]", ylabel="counted [MB]")
        for axis in (panel.xaxis, panel.yaxis):
            plain_numbers(axis)
        legend_of(figure, [panel])
        return figure
