"""Published numbers beside ours, in the cells that they belong to."""

from typing import TYPE_CHECKING

from typing_extensions import override

from dimat.experiment.layout import Layout
from paper.comparisons import distinct
from paper.reference import Published, any_of, in_deviations, joined, measured, published
from paper.shown import PaperTable

if TYPE_CHECKING:
    from pandas import DataFrame


class ReferenceTable(PaperTable):
    """Do we find what was published?"""

    kind = "reference"

    @override
    def applies(self) -> bool:
        return any_of(self.study, published())

    @override
    def caption(self) -> str:
        return (
            "Published numbers beside ours, in every cell of the same data set, architecture, number of "
            "agents, partition, graph and method: mean and standard deviation over seeds. z: the difference "
            "in units of the published deviation. In what a cell is known to differ from what was published "
            "stands beside it; so do published numbers that are not run here."
        )

    @override
    def rows(self, layout: Layout) -> "DataFrame":
        import pandas

        from dimat.experiment.cells import SETTING, labelled
        from paper.measured import by_round, read_shown
        from paper.metrics import with_unit

        found = joined(self.study, published())
        runs, records = read_shown(layout, distinct(id for each in found for id in each.ids))
        labels, rounds = labelled(runs), by_round(runs, records)
        table: list[dict[str, str]] = []
        for row, ids in found:
            line = {"source": row.source, "quantity": row.quantity, "published": row.text()}
            if not ids:
                table.append(line | _named(row) | {"differs": "not run here"})
                continue
            label, run = labels.loc[ids[0]], self.study.runs[ids[0]]
            values = measured(row, rounds.loc[list(ids)])
            line |= {name: str(label[name]) or row_said(row, name) for name in SETTING}
            line |= {"method": str(label["rival"]), "metric": with_unit(run.task.metric)}
            differing = row.differing(run, len(ids), str(runs.loc[ids[0], "found.data"]))
            if values.empty:
                differing.append(f"{run.training.rounds} merges")
            else:
                deviation = f" ± {values.std(ddof=1):.2f}" if len(values) > 1 else ""
                line |= {
                    "ours": f"{values.mean():.2f}{deviation}",
                    "difference": f"{values.mean() - row.value:+.2f}",
                    "z": in_deviations(row, values.mean()),
                    "seeds": str(len(values)),
                }
            table.append(line | {"differs": "; ".join(differing)})
        columns = ["source", "metric", *SETTING, "method", "quantity"]
        columns += ["published", "ours", "difference", "z", "seeds", "differs"]
        return pandas.DataFrame([dict.fromkeys(columns, "") | line for line in table])


def row_said(row: Published, name: str) -> str:
    """What a published number says of a part of its setting, in words."""
    from dimat.experiment.words import said

    keys = [key for key in row.keys if key.partition(".")[0] == name]
    return " ".join(said(key, row.keys[key]) if name != "agents" else row.keys[key] for key in keys)


def _named(row: Published) -> dict[str, str]:
    """The setting of a published number that is not run here."""
    from dimat.experiment.cells import SETTING
    from dimat.methods import known_methods

    title = known_methods[row.keys["method.name"]].title
    return {name: row_said(row, name) for name in SETTING} | {"method": title}
