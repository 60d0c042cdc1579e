"""Methods against each other: how well they do, and what it costs in steps, bytes, messages and time."""

from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from paper.comparisons import comparisons, distinct
from paper.reference import said_beside
from paper.shown import PaperTable

if TYPE_CHECKING:
    from pandas import DataFrame, Series


class ComparisonTable(PaperTable):
    """What methods reach, and what they pay."""

    kind = "comparison"

    @override
    def applies(self) -> bool:
        return any(each.has_others for each in comparisons(self.study))

    @override
    def caption(self) -> str:
        return (
            "What methods reach and what it costs. First merge: the primary metric after the first merge, "
            "before any gradient step. First round: after the steps of the first round and their "
            "communication. Area: mean over all rounds from the first merge on. Final: after the last "
            "merge. Means over agents, then mean and sample standard deviation over seeds. Rate: learning "
            "rate, tuned or given. Costs are means over agents and seeds: gradient steps, MiB and messages "
            "sent." + said_beside(self.study)
        )

    @override
    def rows(self, layout: Layout) -> "DataFrame":
        from dimat.experiment.cells import labelled
        from paper.lines import lines
        from paper.measured import SUMMARIES, by_round, costs, in_turns, read_shown, summaries
        from paper.reference import beside, only

        compared = [each for each in comparisons(self.study) if each.has_others]
        runs, records = read_shown(layout, distinct(id for each in compared for id in each.runs))
        paid = costs(records, self.study.links, in_turns(runs)).groupby("run").last()
        rounds = by_round(runs, records)
        known = beside(self.study, rounds)
        values = summaries(rounds).join(known).join(paid)
        values["rate"] = runs["found.learning_rate"].astype(float)
        texts = dict.fromkeys(known.columns, only) | {"rate": each_value} | dict.fromkeys(paid.columns, mean)
        return lines(labelled(runs), values, compared, SUMMARIES, texts)


def each_value(values: "Series") -> str:
    """The distinct values."""
    return ", ".join(f"{value:g}" for value in sorted(set(values)))


def mean(values: "Series") -> str:
    """The mean, as short as it can be told from others."""
    return f"{values.mean():.0f}" if values.mean() >= 1000 else f"{values.mean():.3g}"
