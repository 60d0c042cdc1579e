"""How each agent does on the part of the test set of each: a matrix before and after merges."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.experiment.runs import Run
from paper.comparisons import alike
from paper.figures.group import GroupFigure, named
from paper.metrics import opening, with_unit

if TYPE_CHECKING:
    import numpy
    import pandas
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIDE_BY_SIDE = 8
"""Agents up to which matrices stand beside each other; of more agents, they stand below each other."""
READABLE = 20
"""Agents up to which there is room for numbers."""


@dataclass(frozen=True)
class PartsFigure(GroupFigure):
    """One method in one setting, over its seeds."""

    kind = "parts"

    @classmethod
    @override
    def groups(cls, study: Study) -> Iterator[tuple[str, dict[str, Run]]]:
        measured = {id: run for id, run in study.runs.items() if "parts" in run.measures and run.agents > 1}
        for ids in alike(measured).values():
            run = measured[ids[0]]
            yield named(*run.words()[:-1], run.protocol), {id: measured[id] for id in ids}

    @override
    def caption(self) -> str:
        run = self.first
        graph = run.graph.label() if run.graph else ""
        partition = run.partition.label() if run.partition else ""
        setting = [
            run.data.label(),
            run.model.label(),
            graph,
            partition,
            f"{run.agents} agents",
            run.protocol,
        ]
        seeds = f"mean over {len(self.runs)} seeds" if len(self.runs) > 1 else "one seed"
        return (
            f"{opening(with_unit(run.task.metric))} of each agent (rows) on the part of the test set "
            f"that is like the training images of each (columns), {seeds}: {type(run.method).title} "
            f"({', '.join(filter(None, setting))}). Framed: an agent's own part."
        )

    @override
    def finding(self, layout: Layout) -> str:
        import numpy

        from dimat.experiment.cells import labelled
        from paper.findings import merge_said, over_seeds, quoted, reached, setting_said
        from paper.measured import read_shown

        runs, records = read_shown(layout, self.study.runs)
        label = labelled(runs).loc[next(iter(self.runs))]
        matrices = self._by_seed(records)
        metric, own = self.first.task.metric, numpy.eye(self.first.agents, dtype=bool)
        said = []
        for round in self._rounds:
            means = [[each[own].mean(), each[~own].mean()] for each in matrices[round]]
            ours, theirs = (reached(of_seeds, metric) for of_seeds in numpy.array(means).T)
            said.append(
                f"{merge_said(round)} {ours} on agents' own parts against {theirs} on those of others"
            )
        where = quoted(setting_said(label.graph, label.partition))
        return f"{quoted(str(label.rival))} in {where}: {'; '.join(said)}. {over_seeds([len(self.runs)])}"

    @override
    def draw(self, layout: Layout) -> "Figure":
        import numpy

        from paper.findings import merge_said
        from paper.measured import read_shown
        from paper.style import WIDTH, pyplot

        _, records = read_shown(layout, self.runs)
        agents, rounds = self.first.agents, self._rounds
        matrices = [numpy.mean(self._by_seed(records)[round], axis=0) for round in rounds]
        beside = agents <= SIDE_BY_SIDE
        grid = (1, len(rounds)) if beside else (len(rounds), 1)
        height = 2.3 if beside else min(max(2.0, 0.14 * agents), 2.6) * len(rounds) + 0.3
        width = WIDTH / 3 * len(rounds) if beside else WIDTH
        figure, axes = pyplot.subplots(*grid, figsize=(max(width, WIDTH / 2), height), squeeze=False)
        panels = list(axes.flat)
        percent = self.first.task.metric.unit == "%"
        ends = (0.0, 100.0) if percent else (float(numpy.min(matrices)), float(numpy.max(matrices)))
        for panel, matrix, round in zip(panels, matrices, rounds, strict=True):
            panel.pcolormesh(matrix, cmap="Blues", vmin=ends[0], vmax=ends[1], rasterized=agents > 50)
            panel.set(title=merge_said(round), ylim=(agents, 0), xlim=(0, agents))
            panel.grid(visible=False)
            step = -(-agents // READABLE)
            ticks = range(0, agents, step)
            panel.set_xticks([tick + 0.5 for tick in ticks], ticks, fontsize=7)
            panel.set_yticks([tick + 0.5 for tick in ticks], ticks, fontsize=7)
            panel.tick_params(length=0)
            if agents <= READABLE:
                self._write(panel, matrix, ends)
        for panel in axes[-1]:
            panel.set_xlabel("part of agent")
        for panel in axes[:, 0]:
            panel.set_ylabel("agent")
        if agents > READABLE:
            label = with_unit(self.first.task.metric)
            figure.colorbar(panels[0].collections[0], ax=panels, label=label, shrink=0.6)
        return figure

    def _write(self, panel: "Axes", matrix: "numpy.ndarray", ends: tuple[float, float]) -> None:
        """The numbers, and frames around those of agents' own parts."""
        from matplotlib.patches import Rectangle

        agents = len(matrix)
        form = ".2g" if self.first.task.metric.unit != "%" else ".1f" if agents <= SIDE_BY_SIDE else ".0f"
        size = min(7.5, 52 / agents) if agents <= SIDE_BY_SIDE else 6
        dark = ends[0] + 0.62 * (ends[1] - ends[0])
        for agent in range(agents):
            for part in range(agents):
                value = matrix[agent, part]
                ink = "white" if value > dark else "black"
                look = {"ha": "center", "va": "center", "color": ink, "fontsize": size}
                panel.text(part + 0.5, agent + 0.5, f"{value:{form}}", **look)
            panel.add_patch(Rectangle((agent, agent), 1, 1, fill=False, edgecolor="black", linewidth=1))

    @property
    def _rounds(self) -> list[int]:
        return sorted({0, 1, self.first.training.rounds})

    def _by_seed(self, records: "pandas.DataFrame") -> dict[int, "list[numpy.ndarray]"]:
        """For each round shown, a matrix (agents, parts) for each seed, in the unit of the metric."""
        rows = records[records.part.notna() & records.run.isin(self.runs)]
        scale, agents = self.first.task.metric.scale, self.first.agents
        found = {}
        for round in self._rounds:
            here = rows[(rows["round"] == round) & (rows.stage == ("merged" if round else "start"))]
            wide = here.set_index(["run", "agent", "part"]).value.sort_index()
            found[round] = [wide[id].to_numpy().reshape(agents, agents) * scale for id in self.runs]
        return found
