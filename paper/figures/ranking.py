"""How well agents rank positives before negatives, against what they have sent: a panel for each setting."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from typing_extensions import override

from dimat.experiment.config import Study
from dimat.experiment.layout import Layout
from dimat.experiment.runs import Run
from dimat.experiment.words import said
from dimat.tasks.ranking import Ranking
from paper.comparisons import distinct, seeds_said
from paper.figures.group import GroupFigure, named, sends_between_merges

if TYPE_CHECKING:
    import pandas
    from matplotlib.figure import Figure

STYLES = ("-", "--", ":")
"""Of lines, by what agents learn by."""
TICKS = (
    (0.02, 0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999),
    (0.55, 0.65, 0.75, 0.85, 0.92, 0.94, 0.96, 0.97, 0.985),
)
"""Of the axis; the second ones where that leaves few of the first."""


@dataclass(frozen=True)
class RankingFigure(GroupFigure):
    """All objectives that are judged by the AUROC, on one data set, with one model and one protocol."""

    kind = "ranking"

    @classmethod
    @override
    def groups(cls, study: Study) -> Iterator[tuple[str, dict[str, Run]]]:
        found: dict[Any, dict[str, Run]] = {}
        for id, run in study.runs.items():
            if isinstance(run.task, Ranking) and sends_between_merges(run):
                found.setdefault((run.data, run.model, run.agents, run.protocol), {})[id] = run
        for (data, model, agents, protocol), runs in found.items():
            yield named(data.name, model.name, str(agents), protocol), runs

    @override
    def applies(self) -> bool:
        """Whether there is more than one objective, or a method with more than one way of sending."""
        ways = {(run.method.name, run.method) for run in self.runs.values()}
        return len(self._objectives) > 1 or len(ways) > len({name for name, _ in ways})

    @property
    def _objectives(self) -> list[str]:
        """What agents learn by, in words."""
        return distinct(_objective(run) for run in self.runs.values())

    @override
    def caption(self) -> str:
        run = self.first
        setting = [run.data.label(), run.model.label(), f"{run.agents} agents", run.protocol]
        styles = dict(zip(self._objectives, ("solid", "dashed", "dotted"), strict=False))
        by = f" Lines are {' and '.join(f'{style} by {name}' for name, style in styles.items())}."
        return (
            "Share of the pairs of a positive and a negative test image that are ranked in order (AUROC), "
            "mean over agents, against MiB that an agent has sent, right after each merge, on a logit and a "
            f"logarithmic axis ({', '.join(filter(None, setting))}).{by * (len(styles) > 1)} Means "
            f"over seeds, {seeds_said(self.runs.values())}."
        )

    @override
    def finding(self, layout: Layout) -> str:
        from paper.findings import over_seeds, setting_said

        rows = self._rows(layout)
        sentences, counts = [], set()
        for (graph, partition), here in rows.groupby(["graph", "partition"], sort=False):
            counts |= set(here.groupby("rival").seed.nunique())
            parts = [*self._by_bytes(here), *self._by_objective(here)]
            if parts:
                sentences.append(f"{setting_said(graph, partition)}: {'; '.join(parts)}.")
        return " ".join([*sentences, over_seeds(counts)]) if sentences else ""

    def _by_bytes(self, here: "pandas.DataFrame") -> Iterator[str]:
        """For each method and objective, the way that sends least beside that which sends most."""
        from paper.findings import quoted

        for _, ways in here.groupby(["method", "objective"], sort=False):
            sent = ways[ways["round"] == ways["round"].max()].groupby("rival").MiB.mean()
            least, most = sent.idxmin(), sent.idxmax()
            if sent[least] < sent[most]:
                compared, share = self._compared(here, str(least), str(most)), sent[least] / sent[most]
                few, many = quoted(str(least)), quoted(str(most))
                yield f"{few} sends {share:.2g} of the bytes of {many} and reaches {compared}"

    def _by_objective(self, here: "pandas.DataFrame") -> Iterator[str]:
        """The best line of the first objective beside the best of each other one."""
        from paper.findings import quoted

        last = here[here["round"] == here["round"].max()]
        means = last.groupby(["objective", "rival"], sort=False).value.mean()
        best = {name: str(means[name].idxmax()) for name in distinct(last.objective)}
        first, *others = best
        for other in others:
            pair = self._compared(here, best[first], best[other])
            own, rival = quoted(best[first]), quoted(best[other])
            yield f"the best by {first}, {own}, against the best by {other}, {rival}: {pair}"

    def _compared(self, here: "pandas.DataFrame", own: str, other: str) -> str:
        """What two lines reach in the end, and their difference paired by seed."""
        from paper.findings import Pair
        from theory.claims.holm import LEVEL

        ours, theirs = (
            here[here.rival == label].set_index(["seed", "round"]).value.unstack("round")
            for label in (own, other)
        )
        pair = Pair.of(own, other, ours, theirs)
        assert pair is not None  # of one protocol, so of the same seeds and rounds
        return pair.said(pair.last, self.first.task.metric, LEVEL)

    @override
    def draw(self, layout: Layout) -> "Figure":
        from matplotlib.ticker import FixedLocator, NullLocator

        from paper.looks import looks_of
        from paper.metrics import with_unit
        from paper.panels import add_legend, draw_band, lines_of, panel_grid, plain_numbers, titled

        rows = self._rows(layout)
        settings = list(rows.groupby(["graph", "partition"], sort=False))
        panels, figure = panel_grid(len(settings), columns=2, height=2.6, sharey=True)
        styles = dict(zip(self._objectives, STYLES, strict=False))
        looks = {
            id: look | {"linestyle": styles[_objective(self.runs[id])]}
            for id, look in looks_of(self.study).items()
            if id in self.runs
        }
        lines = {}
        for panel, ((graph, partition), here) in zip(panels, settings, strict=True):
            for line, look in lines_of(here[here.MiB > 0], looks):
                lines[look["label"]] = draw_band(panel, line.MiB, line.value, look)
            panel.set(title=titled(str(graph), str(partition)), xlabel="MiB sent by an agent", xscale="log")
            plain_numbers(panel.xaxis)
        shown = rows[rows.MiB > 0].groupby(["graph", "partition", "rival", "round"]).value.mean()
        low, high = max(0.01, float(shown.min()) - 0.02), min(0.999, float(shown.max()))
        panels[0].set_ylabel(with_unit(self.first.task.metric))
        panels[0].set_yscale("logit", nonpositive="clip")  # so that 0.98 and 0.99 are apart, too
        panels[0].set_ylim(low, 1 - (1 - high) / 1.5)
        ticks, more = ([tick for tick in each if low <= tick <= high] for each in TICKS)
        panels[0].yaxis.set_major_locator(FixedLocator(ticks + more * (len(ticks) < 4)))
        panels[0].yaxis.set_minor_locator(NullLocator())
        panels[0].yaxis.set_major_formatter("{x:g}")
        add_legend(figure, lines)
        return figure

    def _rows(self, layout: Layout) -> "pandas.DataFrame":
        """A row for each run and round: labels, objective, MiB that an agent has sent, and the AUROC."""
        from paper.measured import costs, read_shown, values_by_round
        from paper.panels import labels_in_figures

        runs, records = read_shown(layout, self.runs)
        found = costs(records).join(values_by_round(runs, records)).query("round > 0").reset_index()
        objectives = {id: _objective(run) for id, run in self.runs.items()}
        labels = labels_in_figures(runs).rename_axis("run").reset_index()
        return labels.assign(objective=labels.run.map(objectives)).merge(found, on="run")


def _objective(run: Run) -> str:
    return said("task.name", run.task.name)
