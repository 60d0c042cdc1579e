"""What a run cost: each machine has its own part of the time."""

import pytest
from support.made_up import write_archived

from dimat.experiment.reading import parse_study
from dimat.io.files import read_json, write_json
from paper.report.cost import CPU_WATTS, GPU_WATTS, costs_of, total


def machine(device, threads, **when):
    return {"device": device, "threads": threads, "versions": {}, **when}


@pytest.mark.parametrize(
    ("made_on", "hours", "watts"),
    [
        ([machine("cpu (x)", 2)], {"cpu (x)": 2.0}, 4 * CPU_WATTS),
        (
            [machine("cpu (x)", 1, after_seconds=0.0), machine("NVIDIA H200", 1, after_seconds=1800.0)],
            {"cpu (x)": 0.5, "NVIDIA H200": 1.5},
            0.5 * CPU_WATTS + 1.5 * GPU_WATTS,
        ),
        (
            [machine("cpu (x)", n, after_seconds=600.0 * n) for n in range(3)],
            {"cpu (x)": 2.0},
            (600 * 1 + 6000 * 2) / 3600 * CPU_WATTS,
        ),
    ],
)
def test_every_machine_has_its_part_of_a_resumed_run(small, tmp_path, made_on, hours, watts):
    study = parse_study(small, "study.yaml")
    layout = write_archived(tmp_path, study)
    (run,) = study.runs
    made = read_json(layout.run_provenance(run))
    write_json(layout.run_provenance(run), made | {"made_on": made_on, "seconds": 7200.0})
    found = total([costs_of(study, layout)[run]])
    assert found["hours"] == pytest.approx(hours)
    assert found["kilowatt_hours"] == pytest.approx(watts / 1000)
