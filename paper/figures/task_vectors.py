"""Networks of one start, each trained on a task of its own, merged in several ways: how each task fares."""

from typing import TYPE_CHECKING, Any, NamedTuple

from typing_extensions import override

from dimat.experiment.layout import Layout
from dimat.experiment.runs import Run
from dimat.merging.averaging.adamerging import AdaMerging
from dimat.merging.averaging.coefficients import Entropy, Mixing
from dimat.merging.averaging.task_vectors import TaskArithmetic, TaskVectors
from dimat.methods.neighbourhood import NeighbourhoodMerging
from dimat.tasks import AnyObjective
from dimat.tasks.rotated import Rotated
from dimat.tasks.task import Metric
from paper.comparisons import alike, seeds_said
from paper.figures.comparison import ComparisonFigure
from paper.metrics import number_form, opening

if TYPE_CHECKING:
    import pandas
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from numpy import ndarray

TOLD_APART = 8
"""Tasks up to which each is shown; of more, only their mean is."""


class Way(NamedTuple):
    """What a way of merging reached after the last merge, in the unit of the metric.

    ``parts`` (seeds, tasks) are means over agents, ``own`` (seeds,) those of agents on their own tasks, and
    ``sums`` (seeds,) the sums of coefficients, empty where nothing is added up.
    """

    run: Run
    parts: "ndarray"
    own: "ndarray"
    sums: "ndarray"

    @property
    def coefficients(self) -> object:
        """How its networks are averaged."""
        return coefficients_of(self.run)

    @property
    def is_whole(self) -> bool:
        """Whether networks go on from one, and all that they have learnt counts."""
        ties = self.coefficients.ties if isinstance(self.coefficients, TaskVectors) else None
        return ties is None and self.run.training.start != "different"


class TaskVectorsFigure(ComparisonFigure):
    """Which tasks does a way of merging keep, and how much does it add up?"""

    kind = "task-vectors"

    @property
    @override
    def runs(self) -> dict[str, Run]:
        runs = self.comparison.runs
        return {id: run for id, run in runs.items() if "parts" in run.measures and run.partition}

    @override
    def applies(self) -> bool:
        adding = (isinstance(coefficients_of(run), TaskVectors) for run in self.runs.values())
        return self.comparison.agents > 1 and any(adding)

    @property
    def _apart(self) -> bool:
        """Whether agents of some runs were trained apart before the first merge, and those of others not."""
        return len({run.training.start for run in self.runs.values()}) > 1

    @property
    def _task(self) -> AnyObjective:
        return next(iter(self.runs.values())).task

    @property
    def _tasks(self) -> list[str]:
        """What tasks are called; those that are dealt out anew with each seed are ranked."""
        if isinstance(self._task, Rotated):
            return [f"images turned by {angle:g} degrees" for angle in self._task.angles]
        return ["best task", *(f"task {rank}" for rank in range(2, self.comparison.agents)), "worst task"]

    @override
    def caption(self) -> str:
        ranked = "" if isinstance(self._task, Rotated) else " Tasks are ranked by accuracy for each seed."
        apart = " Agents trained apart count from a network of their own each." * self._apart
        return (
            f"{opening(self.comparison.metric.title)} on the task of each agent after the last merge "
            f"({self.comparison.words()}), mean over agents, by the way in which networks that go on from "
            "one start are merged; and the sum of the coefficients with which what they have learnt is added "
            "to the start, mean over tensors (dashed: 1, as of averages). Strokes: mean over tasks; "
            f"diamonds: agents on their own tasks. Means over seeds, {seeds_said(self.runs.values())}. Test "
            f"images leak into what is tuned on them.{ranked}{apart}"
        )

    @override
    def finding(self, layout: Layout) -> str:
        import numpy

        from paper.findings import apart, over_seeds, reached
        from paper.measured import read_shown
        from theory.claims.holm import LEVEL, risks
        from theory.claims.paired import p_value

        _, records = read_shown(layout, self.runs)
        ways, metric = {name: way for name, way in self._ways(records).items() if way.is_whole}, self._metric
        averages, sums, tuned = (
            [name for name, way in ways.items() if isinstance(way.coefficients, kind)]
            for kind in (Mixing, TaskArithmetic, AdaMerging)
        )
        tuned = [name for name in tuned if getattr(ways[name].coefficients, "clamped", False)]  # published
        if not (sums and tuned):
            return ""
        base = ways[sums[0]]
        levels = [f"{name} {reached(ways[name].parts.mean(1), metric)}" for name in (*averages, sums[0])]
        gains = {name: ways[name].parts - base.parts for name in tuned}
        several = len(base.parts) > 1
        p = numpy.array([p_value(gain.mean(1)) for gain in gains.values()]) if several else numpy.array([])
        said, by = [], "by task" if isinstance(self._task, Rotated) else "by rank of task"
        for name, risk in zip(gains, risks(p) if several else [LEVEL] * len(gains), strict=True):
            by_task = gains[name].mean(0)
            own = (ways[name].own - base.own).mean()
            added = ways[name].sums
            total = f"; coefficients sum to {added.mean():.2f}" if len(added) else ""
            said.append(
                f"{name} {apart(gains[name].mean(1), metric, float(risk))} ({by} from "
                f"{change(by_task.min(), metric)} to {change(by_task.max(), metric)}; agents on their own "
                f"tasks {change(own, metric)}{total})"
            )
        seeds = over_seeds([len(base.parts)])
        if several and len(said) > 1:
            seeds = f"{seeds[:-1]}; those of differences are corrected for {len(said)} comparisons (Holm)."
        return f"Mean over tasks: {', '.join(levels)}. Difference from {sums[0]}: {'; '.join(said)}. {seeds}"

    @override
    def draw(self, layout: Layout) -> "Figure":
        import textwrap

        import numpy

        from paper.drawn import plain
        from paper.measured import read_shown
        from paper.metrics import with_unit
        from paper.panels import add_legend
        from paper.style import COLOURS, MARKERS, WIDTH, pyplot

        _, records = read_shown(layout, self.runs)
        ways, tasks = self._ways(records), self._tasks if len(self._tasks) <= TOLD_APART else []
        figure, (left, right) = pyplot.subplots(
            1, 2, figsize=(WIDTH, 1.1 + 0.36 * len(ways)), sharey=True, width_ratios=[3, 1]
        )
        colours = [colour for colour in COLOURS if colour != "#000000"]  # which is that of means
        shown: dict[str, Artist] = {}
        for place, way in enumerate(ways.values()):
            beside = numpy.linspace(-0.3, 0.2, len(tasks))
            for task, name in enumerate(tasks):
                look = {"color": colours[task], "marker": MARKERS[task], "markersize": 4}
                shown[name] = mark(left, way.parts[:, task], place + beside[task], look)
            look = {"color": "black", "marker": "|", "markersize": 14}
            shown["mean over tasks"] = mark(left, way.parts.mean(1), place, look)
            look = {"color": "black", "marker": "D", "markersize": 4, "fillstyle": "none"}
            shown["agents on their own tasks"] = mark(left, way.own, place + 0.34, look)
            if len(way.sums):
                mark(right, way.sums, place, {"color": "black", "marker": "o", "markersize": 4})
        labels = ["\n".join(map(plain, textwrap.wrap(name, 36))) for name in ways]
        left.set_yticks(range(len(ways)), labels, fontsize=7.5)
        left.set_ylim(len(ways) - 0.5, -0.5)
        left.set_xlabel(with_unit(self._metric))
        if self._metric.unit == "%":
            left.set_xlim(0, 102)
        right.set_xlabel("sum of coefficients")
        right.axvline(1, color="0.35", linestyle="--", linewidth=1)
        right.set_xlim(left=0)
        add_legend(figure, shown)
        return figure

    @property
    def _metric(self) -> Metric:
        return self.comparison.metric

    def _ways(self, records: "pandas.DataFrame") -> dict[str, Way]:
        """Ways of merging by what they are called."""
        import numpy

        agents = self.comparison.agents
        lasts = records.run.map({id: run.training.rounds for id, run in self.runs.items()})
        rows = records[(records["round"] == lasts) & (records.stage == "merged")]
        parts = rows[rows.part.notna()].set_index(["run", "agent", "part"]).value.sort_index()
        sums = rows[(rows.metric == "coefficient_sum") & (rows.layer == "")].set_index("run").value
        found = {}
        for name, ids in self._called().items():
            matrices = numpy.stack([parts[id].to_numpy().reshape(agents, agents) for id in ids])
            matrices *= self._metric.scale
            own, parts_of = matrices.diagonal(axis1=1, axis2=2).mean(1), matrices.mean(1)
            if not isinstance(self._task, Rotated):
                parts_of = -numpy.sort(-parts_of, axis=1)
            found[name] = Way(self.runs[ids[0]], parts_of, own, sums.reindex(ids).dropna().to_numpy())
        return found

    def _called(self) -> dict[str, list[str]]:
        """Ids of runs that differ in the seed alone, in its order, by what their way of merging is called."""
        groups = list(alike(self.runs).values())
        names = [called(self.runs[ids[0]], self._apart) for ids in groups]
        return {
            name if names.count(name) == 1 else f"{name} ({place})": sorted(
                ids, key=lambda id: self.runs[id].seed
            )
            for place, (name, ids) in enumerate(zip(names, groups, strict=True), start=1)
        }


def coefficients_of(run: Run) -> object:
    """How networks are averaged; `None` of methods that do something else."""
    return run.method.coefficients if isinstance(run.method, NeighbourhoodMerging) else None


def called(run: Run, says_start: bool) -> str:
    """A way of merging in words."""
    if not isinstance(run.method, NeighbourhoodMerging):
        return type(run.method).title
    way = run.method.coefficients
    average = ["average"] if isinstance(way, Mixing | Entropy) else []
    words = average if isinstance(way, Mixing) else [*average, way.label()]
    if getattr(way, "images", "") == "own":
        words.append("on own images")
    if says_start and run.training.start == "different":
        words.append("trained apart")
    return ", ".join(words)


def change(value: float, metric: Metric) -> str:
    """A difference with its sign."""
    return f"{value:{number_form(metric, '+')}}"


def mark(panel: "Axes", values: "ndarray", place: float, look: dict[str, Any]) -> "Artist":
    """The mean over seeds at a height, with its 95 % interval if there is one."""
    from paper.intervals import half_width

    middle, half = values.mean(), half_width(values)
    panel.plot([middle - half, middle + half], [place] * 2, color=look["color"], linewidth=0.8, alpha=0.5)
    (point,) = panel.plot([middle], [place], linestyle="", **look)
    return point
