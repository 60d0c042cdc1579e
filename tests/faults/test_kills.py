"""Commands killed at random moments, as by kill -9: what is there is whole, and all ends the same."""

import random
import time

import pytest
from support.faults import STEPS, TRAINING, Study

SHORT = {"method": "dimat", "tuning": None}
"""Changes of the study for the short version."""
SHORT_STEPS = (*TRAINING, "holonomy", "judge", "table")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, long):
    """What each command adds when nothing happens, and how long it takes."""
    study = Study(tmp_path_factory.mktemp("undisturbed"), **({} if long else SHORT))
    study.clear()
    durations = {}
    study("ids")  # everything is imported now
    for step in STEPS if long else SHORT_STEPS:
        began = time.monotonic()
        code, output = study(step)
        durations[step] = time.monotonic() - began
        assert code == 0, output
    assert not study.temporary()
    return study, durations


def kill(study, step, duration, attempt):
    """Kill a command in the middle of a write, then at any moment, and so on; whether it lived until then."""
    if attempt % 2:
        process = study.start(step)
        process.join(random.uniform(0, duration))
        process.kill()
    else:
        process = study.start(step, fatal_write=random.randint(1, 1 + 3 * attempt))
    process.join()
    return process.exitcode < 0


def test_killed_commands_end_as_if_undisturbed(tmp_path, undisturbed, long):
    model, durations = undisturbed
    expected = model.contents()
    killed, writing, wanted = 0, 0, 100 if long else 4
    while killed < wanted:
        study = Study(tmp_path, **({} if long else SHORT))
        study.clear()
        for step in durations:
            for attempt in range(3 if long else 2):
                killed += kill(study, step, durations[step], attempt)
                left = study.temporary()
                writing += any(path.suffix == ".tmp" for path in left)
                ignored = {path.relative_to(study.layout.results).as_posix() for path in left}
                for name, content in study.contents().items():
                    assert name in ignored or content == expected[name], f"{name}, after a kill in {step}"
            code, output = study(step)
            assert code == 0, output
            if step == "collect":  # tables and the paper say what the study cost: let it have cost the same
                study.layout.provenance.write_bytes(model.layout.provenance.read_bytes())
        assert not study.temporary()
        assert study.contents() == expected
        if long:
            assert study.layout.pdf.read_bytes() == model.layout.pdf.read_bytes()
    print(f"{killed} kills, after {writing} of them there was half a file under a temporary name")
    assert writing


def test_a_killed_audit_leaves_nothing(tmp_path, long):
    """Of all commands the slowest: it writes when it is done."""
    if not long:
        pytest.skip("takes minutes; part of make test-faults")
    study = Study(tmp_path)
    for _ in range(3):
        before = study.contents()  # of one that was done in time
        process = study.start("audit")
        process.join(random.uniform(0, 40))
        process.kill()
        process.join()
        if process.exitcode < 0:
            assert study.contents() == before
    contents = []
    for _ in range(2):
        code, output = study("audit")
        assert code == 0, output
        contents.append(study.contents())
    assert contents[0] == contents[1] and set(contents[0]) == {"shared/audit.csv", "shared/audit.csv.sha256"}
