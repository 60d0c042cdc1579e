"""Studies that need the same make it once, and each can do without the others."""

import threading

import pytest
import torch
from support.jobs import only_start, open_runner
from support.refusals import refused, run

from dimat.agents.checkpoint import Checkpoint
from dimat.agents.networks import Networks
from dimat.errors import InputError
from dimat.experiment.catalogue import Catalogue, name_in_catalogue, read_studies, study_files
from dimat.experiment.layout import RESERVED
from dimat.experiment.reading import parse_study, read_study
from dimat.io.files import read_checked, read_tensors, write_checked

STEPS = ("prepare", "partition", "pretrain", "tune", "train", "collect")
TUNED = {"method": "dpsgd", "tuning": {"factors": [0.5, 1.0]}}


@pytest.fixture
def two(small, write_config, tmp_path, monkeypatch):
    """Two tuned studies from the same start; the second has another graph, too. Nothing is made yet."""
    monkeypatch.chdir(tmp_path)
    first = write_config(small | TUNED | {"name": "first"}, "first.yaml")
    second = write_config(small | TUNED | {"name": "second", "graph": ["ring", "complete"]}, "second.yaml")
    return first, second


def contents(folder):
    """All files below a folder, with the time of their last change."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def carry_out(dimat, *configs):
    for config in configs:
        for step in STEPS:
            done = dimat(step, config)
            assert done.returncode == 0, done.stderr


def test_what_two_studies_need_is_made_once(two, dimat, tmp_path):
    first, second = two
    assert read_study(first).runs.keys() < read_study(second).runs.keys()
    carry_out(dimat, first)
    made = contents(tmp_path / "results" / "shared")
    kinds = {path.relative_to(tmp_path / "results" / "shared").parts[0] for path in made}
    assert kinds == {"data", "partitions", "starts", "choices", "runs"}
    assert {path.name for path in (tmp_path / "results" / "first").iterdir()} == {
        "runs.csv", "runs.csv.sha256", "records.csv", "records.csv.sha256", "provenance.json",
    }  # fmt: skip
    carry_out(dimat, second)
    now = contents(tmp_path / "results" / "shared")
    assert {path: now[path] for path in made} == made
    new = [path for path in now if path not in made]
    assert new and all(path.parent.name == "choices" or path.parts[-3] == "runs" for path in new)


def test_a_study_is_right_without_the_others(two, dimat, tmp_path):
    first, second = two
    carry_out(dimat, first, second)
    for path in sorted((tmp_path / "results" / "first").rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    done = dimat("verify", second)
    assert done.returncode == 0, done.stdout
    before = contents(tmp_path / "results")
    carry_out(dimat, second)
    assert before.keys() == contents(tmp_path / "results").keys()
    assert dimat("verify", second).returncode == 0


def test_what_a_study_does_not_use_is_not_looked_at(two, dimat, tmp_path):
    first, second = two
    carry_out(dimat, first, second)
    used = dimat("verify", first).stdout
    (unused,) = [path for path in (tmp_path / "results/shared/choices").iterdir() if path.name not in used]
    unused.write_text("damaged")
    assert dimat("verify", first).returncode == 0
    done = dimat("verify", second)
    assert done.returncode == 1 and any(
        line.startswith("WRONG") and unused.name in line for line in done.stdout.splitlines()
    )


def test_a_start_that_another_process_has_made_meanwhile_is_kept(small, tmp_path, monkeypatch):
    """Its numbers may be others: runs may have begun from it."""
    runner = open_runner(small, tmp_path)
    start = only_start(runner)
    path = runner.layout.pretrained(start.id)
    runner.pretrain(start)
    other = path.read_bytes().replace(b"made_on", b"MADE_ON")  # whole, but not what comes out here
    path.unlink()
    pretrain = Networks.pretrain

    def and_another_process(agents, epoch):
        pretrain(agents, epoch)
        if epoch == start.training.pretrain_epochs - 1:
            path.write_bytes(other)

    monkeypatch.setattr(Networks, "pretrain", and_another_process)
    runner.pretrain(start)
    assert path.read_bytes() == other
    monkeypatch.setattr(Networks, "pretrain", pretrain)
    runner.pretrain(start)  # one that was there before is replaced: somebody asked for it
    assert path.read_bytes() != other


def test_a_checkpoint_that_another_process_finishes_meanwhile_is_none(tmp_path, monkeypatch):
    checkpoint = Checkpoint(tmp_path / "start.safetensors", {"name": "start"}, {}, 0)
    checkpoint.save({"weight": torch.ones(2)}, {"epochs": 1})
    assert checkpoint.load()[1] == {"epochs": 1}

    def after_it_was_removed(path):
        path.unlink()
        return read_tensors(path)

    monkeypatch.setattr("dimat.agents.checkpoint.read_tensors", after_it_was_removed)
    assert checkpoint.load() is None


def test_a_file_and_its_checksum_are_of_one_writer(tmp_path):
    path, rounds = tmp_path / "shared" / "records.csv", 60
    together = threading.Barrier(4)
    read = []

    def write(number):
        for turn in range(rounds):
            together.wait()
            write_checked(path, f"{number} {turn}\n".encode() * 200)
            together.wait()
            if number == 0:
                read.append(read_checked(path))
            together.wait()

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(read) == rounds
    assert {path.name for path in path.parent.iterdir()} == {"records.csv", "records.csv.sha256"}


@pytest.mark.parametrize("name", RESERVED)
def test_no_study_has_the_name_of_a_folder_that_all_share(small, name):
    with pytest.raises(InputError, match=f"name: '{name}' is not valid: expected a name that is none of"):
        parse_study(small | {"name": name}, "small")


# Several files.


@pytest.fixture
def folder(small, write_config, tmp_path):
    """A catalogue of two studies with one start; the second has another one, too."""
    (tmp_path / "some").mkdir()
    write_config(small | {"name": "some-a"}, "some/A.yaml")
    write_config(small | {"name": "some-b", "seeds": [0, 1], "method": "wa"}, "some/B.yaml")
    return tmp_path / "some"


def test_studies_of_a_catalogue_are_read_when_they_are_asked_for(folder, small, monkeypatch):
    given = parse_study(small | {"seeds": [7]}, "small")
    found = Catalogue(given, [folder])
    read = []
    monkeypatch.setattr(
        "dimat.experiment.catalogue.read_study", lambda file: read.append(file) or read_study(file)
    )
    assert found.names == ("small", "some-a", "some-b") and not found.used
    (own,) = given.pretrained
    assert found.holder("pretrained", own) is given and set(found.used) == {"small"}
    assert not read
    first, second = found.of_folder(folder)
    assert len(read) == 2
    both, alone = second.pretrained
    assert both in first.pretrained and alone not in first.pretrained
    assert found.holder("pretrained", both) is first and found.holder("pretrained", alone) is second
    with pytest.raises(KeyError, match="nobody"):
        found.holder("pretrained", "nobody")
    assert len(read) == 2 and set(found.used) == {"small", "some-a", "some-b"}


def test_the_holder_is_the_same_whatever_was_read_before(folder, small):
    given = parse_study(small | {"seeds": [7]}, "small")
    one, other = Catalogue(given, [folder]), Catalogue(given, [folder])
    _ = one["some-b"]
    for id in one["some-b"].pretrained:
        assert one.holder("pretrained", id).name == other.holder("pretrained", id).name


def test_a_study_of_ones_own_goes_before_one_of_that_name(folder, small):
    given = parse_study(small | {"name": "some-a", "seeds": [7]}, "own")
    assert Catalogue(given, [folder]).of_folder(folder)[0] is given


def test_a_study_that_is_not_named_after_its_file(folder, small, write_config):
    write_config(small | {"name": "other"}, "some/A.yaml")
    found = Catalogue(parse_study(small, "small"), [folder])
    with pytest.raises(InputError, match=r"A\.yaml: name: 'other' is not valid: expected 'some-a'"):
        _ = found["some-a"]


def test_two_studies_of_one_name_cannot_be_planned(folder, small, write_config, monkeypatch):
    path = write_config(small | {"name": "some-b"}, "again.yaml")
    with pytest.raises(InputError, match=r"again\.yaml: name: 'some-b' is that of .*B\.yaml"):
        read_studies([folder, path])
    code, _, err = run(monkeypatch, "plan", folder, path)
    assert refused(code, err) and "some-b" in err


def test_a_folder_without_configurations(tmp_path):
    with pytest.raises(InputError, match="holds no configuration"):
        study_files(tmp_path)


def test_names_are_those_of_folder_and_file(folder):
    assert [name_in_catalogue(file) for file in study_files(folder)] == ["some-a", "some-b"]
