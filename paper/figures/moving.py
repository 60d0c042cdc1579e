"""How closely methods follow a minimizer that jumps, on quadratic losses; computed when it is drawn."""

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from dimat.methods.dot_admm import DotAdmm
from dimat.methods.dpsgd import Dpsgd
from dimat.methods.every_step import EveryStep
from dimat.methods.gradient_tracking import GradientTracking
from dimat.topology import Graph, Ring
from paper.shown import PaperFigure

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from numpy import ndarray

AGENTS, SEEDS, PERIOD, JUMPS = 6, 10, 50, 3
GRAPHS: dict[str, Graph] = {
    "nothing fails": Ring(),
    "three tenths of links fail": Ring(link_failures=0.3),
    "three tenths of agents sleep": Ring(agent_failures=0.3),
}
STEPS = 5
"""Gradient steps of an agent of DOT-ADMM before each communication; others take one."""
METHODS: tuple[tuple[EveryStep, int], ...] = (
    (DotAdmm(learning_rate=0.3, relaxation=0.9, local_steps=STEPS), STEPS),
    (GradientTracking(learning_rate=0.3), 1),
    (Dpsgd(learning_rate=0.05), 1),
)
"""With the steps of a communication."""


class MovingFigure(PaperFigure):
    """Do methods follow data that change?"""

    kind = "moving"

    @override
    def applies(self) -> bool:
        """Where DOT-ADMM, which is made for it, is measured by its distance to an optimum that stays."""
        runs = self.study.runs.values()
        return any(isinstance(run.method, DotAdmm) and "optimum" in run.measures for run in runs)

    @override
    def caption(self) -> str:
        return (
            "Distance of agents to the minimizer of quadratic losses whose centres are drawn anew after "
            f"every {PERIOD} communications, relative to the norm of the minimizer; means over {AGENTS} "
            f"agents on a ring, whose curvatures differ. DOT-ADMM takes {STEPS} gradient steps for each "
            "communication, the others one; gradient tracking sends two messages. These are no runs of the "
            "study: they are computed when the figure is drawn. Lines are geometric means over seeds, bands "
            f"their 95 % t-intervals (n = {SEEDS} seeds, which differ in their losses, not in what fails)."
        )

    @override
    def reads(self, layout: Layout) -> list[Path]:
        return []

    @override
    def finding(self, layout: Layout) -> str:
        from paper.findings import over_seeds
        from paper.intervals import of_powers

        said = []
        for where, lines in self._powers.items():
            before = {title: powers[PERIOD - 1 :: PERIOD].mean(0) for title, powers in lines.items()}
            numbers = ", ".join(f"{title} {of_powers(ends)}" for title, ends in before.items())
            said.append(f"Where {where}, just before the next jump: {numbers}.")
        return f"{' '.join(said)} {over_seeds([SEEDS])}"

    @override
    def draw(self, layout: Layout) -> "Figure":
        import pandas

        from paper.panels import add_legend, draw_band, panel_grid, powers_of_ten
        from paper.style import COLOURS

        panels, figure = panel_grid(len(GRAPHS), columns=len(GRAPHS), height=2.2, sharey=True)
        drawn = {}
        for panel, (where, lines) in zip(panels, self._powers.items(), strict=True):
            for colour, (title, powers) in zip(COLOURS, lines.items(), strict=False):
                rounds = pandas.Series(range(1, len(powers) + 1)).repeat(SEEDS).reset_index(drop=True)
                look = {"color": colour, "linewidth": 1.4, "marker": ""}
                drawn[title] = draw_band(panel, rounds, pandas.Series(powers.ravel()), look)
            panel.set(title=where, xlabel="communications")
        panels[0].set_ylabel("distance to the minimizer")
        powers_of_ten(panels[0].yaxis)
        add_legend(figure, drawn)
        return figure

    @cached_property
    def _powers(self) -> "dict[str, dict[str, ndarray]]":
        """For each of `GRAPHS` and each method, the logarithms of distances (communications, seeds)."""
        import numpy

        from theory.problems.moving import MovingTask, followed

        task = MovingTask(AGENTS, SEEDS, PERIOD)
        return {
            where: {
                method.title: numpy.log10(followed(method, graph, task, JUMPS * PERIOD, steps))
                for method, steps in METHODS
            }
            for where, graph in GRAPHS.items()
        }
