"""What was run, as configurations say it: a row for each study, and words for the text."""

from collections.abc import Iterable, Mapping
from typing import Any

from dimat.experiment.config import Study
from paper.comparisons import distinct


def setting_row(study: Study) -> dict[str, str]:
    """The axes of a study in words, and how many runs they give."""
    runs = list(study.runs.values())

    def listed(values: Iterable[object]) -> str:
        return ", ".join(str(value) for value in distinct(values) if value)

    schedules = (
        f"{run.training.pretrain_epochs} + {run.training.rounds} x {run.training.epochs}" for run in runs
    )
    return {
        "data": listed(run.data.label() for run in runs),
        "network": listed(run.model.label() for run in runs),
        "agents": listed(run.agents for run in runs),
        "partition": listed(run.partition.label() for run in runs if run.partition),
        "graph": listed(run.graph.label() for run in runs if run.graph),
        "methods": listed(type(run.method).title for run in runs),
        "protocol": listed(run.protocol for run in runs),
        "epochs apart + rounds x epochs": listed(schedules),
        "seeds": str(len(distinct(run.seed for run in runs))),
        "runs": str(len(runs)),
    }


def words_of(studies: Iterable[Study]) -> Mapping[str, Any]:
    """What the text of the paper says of all studies: its placeholders."""
    runs = [run for study in studies for run in study.runs.values()]

    def listed(values: Iterable[object]) -> str:
        return (
            " and ".join(filter(None, [", ".join(found[:-1]), *found[-1:]]))
            if (found := [str(value) for value in distinct(values) if value])
            else "nothing"
        )

    optimizers = (run.training.optimizer for run in runs)
    return {
        "networks": listed(run.model.label() for run in runs),
        "agents": listed(sorted({run.agents for run in runs})),
        "batch": listed(sorted({run.training.batch_size for run in runs})),
        "optimizers": listed(f"{each.name} at a rate of {each.learning_rate:g}" for each in optimizers),
        "seeds": listed(sorted({len({run.seed for run in study.runs.values()}) for study in studies})),
        "trials": listed(sorted({len(run.tuning.factors) for run in runs if run.tuning})),
        "limit": listed(
            sorted({run.calibration.limit for run in runs if run.calibration and run.calibration.limit})
        ),
    }
