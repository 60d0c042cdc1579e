"""A plan says what there is to do: every job once, what is there, and how sure it is."""

import re

import pytest
from support.jobs import open_runner

from dimat.experiment.layout import Layout
from dimat.experiment.reading import parse_study
from dimat.experiment.resources import expected
from dimat.experiment.throughput import GUESSES, Device, Speed, known_devices
from dimat.experiment.work import images_of
from paper.plan import StudyPlan, planned

LINE = re.compile(r"^  (\S.*?)? {2,}(\d+) +(\d+) +([\d.,]+) +([\d.,]+)$", re.M)


def rows(text):
    """By what lines of a plan say: jobs, there, hours, left."""
    numbers = lambda found: tuple(float(each.replace(",", "")) for each in found.groups()[1:])  # noqa: E731
    return {found[1]: numbers(found) for found in LINE.finditer(text)}


@pytest.fixture
def several(small):
    return small | {"method": ["dimat", "wa", "local"], "seeds": [0, 1], "partition": ["iid", "classes"]}


def test_every_job_is_counted_once(several, tmp_path):
    study = parse_study(several, "small")
    found = rows(planned(study, Layout(tmp_path / "small"), "cpu"))
    assert found["starts"][0] == found["all starts"][0] == len(study.pretrained) == 4
    assert found["all runs"][0] == len(study.runs) == 12
    assert found["everything"][0] == 16
    methods = [found[name] for name in ("dimat", "wa", "local")]
    assert [each[0] for each in methods] == [4, 4, 4]
    jobs = [*study.pretrained.values(), *study.runs.values()]
    whole = sum(expected(job, GUESSES["cpu"], images_of(job.data)).seconds for job in jobs) / 3600
    assert found["everything"][2] == pytest.approx(whole, abs=1e-3)


def test_what_is_there_is_not_left(several, tmp_path):
    runner = open_runner(several, tmp_path)
    start, *_ = runner.study.pretrained.values()
    runner.pretrain(start)
    plan = StudyPlan(runner.study, runner.layout, GUESSES["cpu"])
    line = plan.line("everything", plan.expected)
    assert (line.count, line.there) == (16, 1)
    assert line.hours - line.left == pytest.approx(plan.expected[start.id].seconds / 3600)


def test_figures_name_all_that_they_need(several, tmp_path):
    plan = StudyPlan(parse_study(several, "small"), Layout(tmp_path / "small"), GUESSES["cpu"])
    by_id = {line.what: line for line in plan.by_figure()}
    assert by_id["progress-digits-plain-3"].count == 16
    assert by_id["matching-digits-plain-3"].count == 4 + 4  # runs of DIMAT, and the starts


def test_choices_and_their_trials_are_counted(small, tmp_path):
    study = parse_study(small | {"method": ["dimat", "dpsgd"], "tuning": {"factors": [0.5, 1.0]}}, "small")
    found = rows(planned(study, Layout(tmp_path / "small"), "cpu"))
    assert found["choices of learning rates"][0] == found["all choices"][0] == len(study.tuned) == 2
    assert found["everything"][0] == len(study.tuned) + len(study.pretrained) + len(study.runs)


def test_a_faster_device_takes_less_time(small, tmp_path, monkeypatch):
    rates = {precision: Speed(1e12, 1e11, 1e-5) for precision in ("float32", "bfloat16")}
    fast = Device("fast", 0, rates, rates, 1e12, "2026-01-01", "dimat bench throughput")
    monkeypatch.setattr("dimat.experiment.throughput.known_devices", lambda: {"fast": fast})
    study = parse_study(small | {"data": "digits", "model": "resnet20"}, "small")
    slow, quick = (planned(study, Layout(tmp_path / "small"), name) for name in ("cpu", "FAST"))
    assert rows(quick)["everything"][2] < rows(slow)["everything"][2] / 4
    assert "guess" in slow and "guess" not in quick and "2026-01-01" in quick
    assert "of the GPU's" in quick and "of the GPU's" not in slow


def test_the_command_prints_the_plan_and_starts_nothing(dimat, small, write_config, tmp_path):
    config = write_config(small)
    done = dimat("plan", config)
    assert done.returncode == 0
    assert done.stdout.startswith("small: 1 run, 1 start, 0 choices of learning rates, 1 data set\n")
    assert set(rows(done.stdout)) >= {"starts", "dimat", "all runs", "everything"}
    assert len({len(line) for line in done.stdout.splitlines() if LINE.match(line)}) == 1  # aligned
    assert not (tmp_path / "results").exists()


def test_a_device_that_nobody_knows_is_one_line(dimat, small, write_config):
    done = dimat("plan", write_config(small), "--device", "abacus")
    assert done.returncode == 2
    assert done.stderr.startswith("dimat: error: --device: 'abacus' is no device of the table; expected one")
    assert all(name in done.stderr for name in known_devices())
    assert len(done.stderr.splitlines()) == 1


def test_several_studies_have_a_line_each_and_what_they_share_is_counted_once(
    dimat, small, write_config, tmp_path
):
    (tmp_path / "some").mkdir()
    tuned = small | {"tuning": {"factors": [0.5, 1.0]}}
    one = parse_study(tuned | {"name": "one", "method": ["dimat", "wa"]}, "one")
    two = parse_study(tuned | {"name": "two", "method": ["dpsgd", "wa"], "seeds": [0, 1]}, "two")
    for study in (one, two):
        write_config(study.resolved(), f"some/{study.name}.yaml")
    runner = open_runner(one.resolved(), tmp_path / "results")
    start = one.pretrained[next(iter(one.runs.values())).pretrained.id]
    runner.pretrain(start)
    done = dimat("plan", "some", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    lines = {
        name: tuple(float(number.replace(",", "")) for number in numbers.split())
        for name, numbers in re.findall(r"^  (one|two|all, .*?)  +([\d., ]+)$", done.stdout, re.M)
    }
    plans = [StudyPlan(each, Layout(tmp_path / "results" / each.name), GUESSES["cpu"]) for each in (one, two)]
    for plan in plans:
        line = plan.line(plan.study.name, plan.expected)
        rounded = pytest.approx((line.hours, line.left), abs=1e-3)
        assert (
            lines[line.what][:3] == (len(plan.study.runs), line.count, 1) and lines[line.what][3:] == rounded
        )
    shared = plans[0].expected.keys() & plans[1].expected.keys()
    assert start.id in shared and len(shared) == 2 + 1 + 1  # two starts, the choice for WA, and a run of it
    *_, (runs, jobs, there, hours, left) = lines.values()
    assert runs == len(one.runs) + len(two.runs) - 1
    assert jobs == sum(len(plan.expected) for plan in plans) - len(shared) and there == 1
    twice = sum(plans[0].expected[id].seconds for id in shared) / 3600
    assert hours == pytest.approx(sum(lines[name][3] for name in ("one", "two")) - twice, abs=3e-3)
    assert hours - left == pytest.approx(plans[0].expected[start.id].seconds / 3600, abs=2e-3)
    alone = dimat("plan", "some/one.yaml", "some/two.yaml", "--device", "cpu")
    assert alone.stdout == done.stdout
