"""Networks that adapt: after one step while they learn, and after more steps in the end."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.experiment.runs import Run
from dimat.experiment.words import said
from dimat.tasks.task import Metric
from paper.comparisons import alike, distinct, seeds_said
from paper.figures.group import GroupFigure
from paper.metrics import opening

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class AdaptationFigure(GroupFigure):
    """All runs that learn to adapt to the tasks of one data set, whatever else they differ in.

    The first is what all others are compared with.
    """

    kind = "adaptation"

    @classmethod
    @override
    def groups(cls, study: Study) -> Iterator[tuple[str, dict[str, Run]]]:
        groups: dict[object, dict[str, Run]] = {}
        for id, run in study.runs.items():
            if "adaptation" in run.measures:
                setting = (run.data, run.model, run.agents, run.partition, run.task.metric, run.protocol)
                groups.setdefault(setting, {})[id] = run
        for runs in groups.values():
            yield next(iter(runs.values())).data.name, runs

    @property
    def metric(self) -> Metric:
        """That of all runs."""
        return self.first.task.metric

    @override
    def caption(self) -> str:
        run = self.first
        partition = run.partition.label() if run.partition else ""
        setting = [run.data.label(), run.model.label(), f"{run.agents} agents", partition, run.protocol]
        return (
            f"{opening(self.metric.title)} ({', '.join(filter(None, setting))}), on tasks of all agents. "
            "Left: after one step on a few examples of a task, against the gradient steps that an agent has "
            "learnt for. Right: in the end, after so many steps of adaptation. Means over agents and tasks; "
            f"lines are means over seeds, {seeds_said(self.runs.values())}; more steps destroy networks of "
            "those that leave the panel. Labels say in what a run differs from the first of its method."
        )

    @override
    def finding(self, layout: Layout) -> str:
        import numpy

        from paper.findings import apart, over_seeds, quoted, reached
        from paper.measured import read_shown
        from theory.claims.holm import risks
        from theory.claims.paired import p_value

        adapted = self._adapted(read_shown(layout, self.runs)[1])
        lines = {
            str(label): here.rename(index={id: run.seed for id, run in self.runs.items()})
            for label, here in adapted.groupby(adapted.index.map(self._labels()), sort=False)
        }
        own, *others = lines
        differences = {label: (lines[label][1] - lines[own][1]).dropna() for label in others}
        p = [p_value(each.to_numpy()) for each in differences.values()]
        risk = dict(zip(differences, risks(numpy.array(p)).tolist(), strict=True))
        more = "; ".join(
            f"{quoted(label)} {apart(each, self.metric, risk[label])}" for label, each in differences.items()
        )
        ours = {int(steps): reached(lines[own][steps], self.metric) for steps in adapted.columns}
        compared = f" Others minus this, after one step, corrected for {len(others)} (Holm): {more}."
        return (
            f"In the end {quoted(own)} has {ours[1]} after one step of adaptation, {ours[0]} before it and "
            f"{ours[max(ours)]} after {max(ours)} steps.{compared if others else ''} "
            f"{over_seeds(map(len, lines.values()))}"
        )

    @override
    def draw(self, layout: Layout) -> "Figure":
        import pandas

        from paper.looks import looks_of
        from paper.measured import costs, read_shown, values_by_round
        from paper.panels import add_legend, draw_band, panel_rows, show_metric, whole_numbers
        from paper.style import COLOURS

        runs, records = read_shown(layout, self.runs)
        labels = self._labels()
        learning = costs(records).join(values_by_round(runs, records)).query("steps > 0").reset_index()
        adapted = pandas.DataFrame({"value": self._adapted(records).stack()}).reset_index()
        (row,), figure = panel_rows(1, columns=2, height=2.4)
        looks, lines = looks_of(self.study), {}
        for place, label in enumerate(distinct(labels.values())):
            ids = [id for id in self.runs if labels[id] == label]
            colour = COLOURS[place % len(COLOURS)]  # most lines are of one method
            look = looks[ids[0]] | {"label": label, "color": colour, "linewidth": 1.4, "markersize": 3.5}
            for panel, rows in zip(row, (learning, adapted), strict=True):
                here = finite_at_all_seeds(rows[rows.run.isin(ids)])
                lines[label] = draw_band(panel, here.steps, here.value, look)
        values = pandas.concat([learning.value, adapted.value[adapted.steps <= 1]])
        show_metric(list(row), self.metric, values, self.metric.better == "lower")
        row[0].set(title="after one step of adaptation", xlabel="gradient steps of an agent")
        row[1].set(title="in the end", xlabel="steps of adaptation", ylabel="")
        for panel in row:
            whole_numbers(panel)
        row[0].locator_params(axis="x", nbins=6)
        add_legend(figure, lines)
        return figure

    def _adapted(self, records: "pandas.DataFrame") -> "pandas.DataFrame":
        """Means over agents in the end, in their unit: a row for each run, a column for each step."""
        prefix = f"{self.metric.name}_"
        last = records.run.map({id: run.training.rounds for id, run in self.runs.items()})
        rows = records[records.metric.str.startswith(prefix) & (records["round"] == last)]
        rows = rows.assign(steps=rows.metric.str.removeprefix(prefix).astype(int))
        values = rows.value.fillna(math.inf)  # beyond the finite numbers
        means = values.groupby([rows.run, rows.steps]).mean() * self.metric.scale
        return means.unstack("steps").reindex(list(self.runs))

    def _labels(self) -> dict[str, str]:
        """By run: its method, and in what it differs from the first run of this method."""
        firsts: dict[str, Mapping[str, str]] = {}
        labels = {}
        for ids in alike(self.runs).values():
            run = self.runs[ids[0]]
            title, own = type(run.method).title, run.parameters()
            first = firsts.setdefault(title, own)
            words = [
                f"{said(key, value)}{' graph' * (key == 'graph.name')}"
                for key, value in own.items()
                if key not in ("seed", "measures") and first.get(key) != value
            ]
            labels |= dict.fromkeys(ids, ", ".join([title, *words]))
        return labels


def finite_at_all_seeds(rows: "pandas.DataFrame") -> "pandas.DataFrame":
    """The ``rows`` of a line but for the steps at which some value of it is not finite."""
    lost = rows.steps[~rows.value.map(math.isfinite)]
    return rows[~rows.steps.isin(lost)]
