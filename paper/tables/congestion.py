"""What exchanges over a shared link take, under each congestion controller."""

from pathlib import Path
from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from paper.comparisons import comparisons, distinct
from paper.shown import PaperTable

if TYPE_CHECKING:
    from pandas import DataFrame, Series


class CongestionTable(PaperTable):
    """Time, delay, losses and fairness by method and controller."""

    kind = "congestion"

    @override
    def applies(self) -> bool:
        return self.study.bottleneck is not None

    @override
    def reads(self, layout: Layout) -> list[Path]:
        return [*super().reads(layout), layout.simulated]

    @override
    def caption(self) -> str:
        return (
            "Exchanges over a link that all agents share, by congestion controller, and by how much longer "
            "the farthest agent's round trip is (spread). Simulated time until right after the last merge; "
            "mean round trip of what was sent, over that of an empty queue for the nearest agent; share that "
            "was lost, and sent again; Jain's index of how fast agents got their messages through, mean over "
            "exchanges. Mean and sample standard deviation over seeds."
        )

    @override
    def rows(self, layout: Layout) -> "DataFrame":
        import pandas

        from dimat.experiment.cells import labelled
        from paper.lines import lines
        from paper.measured import read_shown
        from paper.simulated import read_simulated

        link = self.study.bottleneck
        assert link is not None
        compared = comparisons(self.study)
        runs, _ = read_shown(layout, distinct(id for each in compared for id in each.runs))
        found = read_simulated(layout)
        last = found[found["round"] == found.groupby("run")["round"].transform("max")]
        names = {"seconds": "seconds", "round_trip": "round trip", "lost": "lost", "jain": "Jain's index"}
        blocks = []
        for spread in sorted({0.0, link.spread}):
            for place, controller in enumerate(link.controller):
                here = last[(last.controller == place) & (last.spread == spread)]
                values = here.set_index("run")[list(names)].rename(columns=names)
                rows = lines(labelled(runs), values, compared, (), dict.fromkeys(names.values(), deviating))
                after = list(rows).index("method") + 1
                rows.insert(after, "spread", f"{spread:g}")
                rows.insert(after, "controller", controller.label())
                blocks.append(rows)
        return pandas.concat(blocks, ignore_index=True)


def deviating(values: "Series") -> str:
    """The mean, and the sample standard deviation if there is one that is seen beside it."""
    mean, deviation = values.mean(), values.std(ddof=1)
    return f"{mean:.3g}" + (f" ± {deviation:.2g}" if deviation > 1e-4 * abs(mean) else "")
