"""Archives: what they hold is enough to draw everything anew, and unpacking them harms nothing."""

import io
import shutil
import tarfile

import pytest
from support.faults import write_audit
from support.jobs import carried_out

from dimat.experiment.layout import Layout
from dimat.io.files import read_json

CONTENT = {"tuning": {"factors": [0.5, 1.0]}, "method": ["dimat", "wa"], "seeds": [0, 1]}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small tuned study with its audit and what was measured of first merges, in a folder of results."""
    from support.small import SMALL

    from theory.gap.first_merges import first_merges

    folder = tmp_path_factory.mktemp("trained")
    runner = carried_out(SMALL | CONTENT, folder / "results")
    write_audit(runner.layout)
    assert first_merges(runner.study)
    return folder / "results", runner.study


@pytest.fixture
def packed(trained, tmp_path, small, write_config, dimat):
    """Packs a copy of the trained study; returns its folder of results, the configuration, and `dimat`."""
    shutil.copytree(trained[0], tmp_path / "results")
    config = write_config(small | CONTENT)
    before = dimat("archive", config, "--output", "before.tar.xz")
    assert "first merges measured of 0 of 2 starts (dimat holonomy)" in before.stdout
    assert dimat("holonomy", config).returncode == 0
    done = dimat("archive", config, "--output", "one.tar.xz")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == "small: 4 of 4 runs"
    return tmp_path / "results", config, dimat


def test_everything_is_drawn_anew_from_an_archive(packed, tmp_path, monkeypatch):
    results, config, dimat = packed
    done = dimat("unpack", "before.tar.xz", "one.tar.xz", "--results", "again")
    assert done.returncode == 0 and not done.stderr
    (first, second) = done.stdout.splitlines()
    assert first.startswith("before.tar.xz: ") and first.endswith(" 0 were there")
    with tarfile.open(tmp_path / "one.tar.xz") as archive:
        kept = {each.name for each in archive.getmembers()}
    assert {path.relative_to(tmp_path / "again").as_posix() for path in files_in(tmp_path / "again")} == kept
    assert second.endswith(f" {first.split()[1]} were there")
    assert not list((tmp_path / "again").rglob("*.safetensors"))
    for command in ("collect", "judge", "figure", "table", "pdf"):
        for folder in ("results", "again"):
            done = dimat(command, config, "--results", folder)
            assert done.returncode == 0, done.stderr
    made = [
        path for path in (results / "small").rglob("*") if path.suffix in (".csv", ".svg", ".tex", ".pdf")
    ]
    assert len(made) > 20
    for path in made:
        assert (tmp_path / "again" / path.relative_to(results)).read_bytes() == path.read_bytes(), path
    start = next(iter((tmp_path / "again" / "shared" / "starts").iterdir()))
    assert read_json(start)["about"]["networks"] and read_json(start)["network_bytes"] > 0


def files_in(folder):
    """All files below a folder, hidden ones among them."""
    return [path for path in folder.rglob("*") if path.is_file()]


def test_first_merges_that_nobody_can_measure_any_more_are_not_judged(packed, tmp_path):
    results, config, dimat = packed
    dimat("unpack", "before.tar.xz", "--results", "again")
    for command in ("collect", "judge"):
        done = dimat(command, config, "--results", "again")
        assert done.returncode == 0, done.stderr
    merges = sorted((results / "small" / "holonomy").glob("*.csv"))
    merges[0].unlink()
    assert dimat("collect", config).returncode == 0
    done = dimat("judge", config)  # its start is there
    assert done.returncode == 2 and merges[0].name in done.stderr


def test_the_same_records_give_the_same_bytes_also_from_what_was_unpacked(packed, tmp_path):
    _, config, dimat = packed
    dimat("unpack", "one.tar.xz", "--results", "again")
    assert dimat("archive", config, "--output", "two.tar.xz", "--results", "again").returncode == 0
    assert (tmp_path / "two.tar.xz").read_bytes() == (tmp_path / "one.tar.xz").read_bytes()
    with tarfile.open(tmp_path / "one.tar.xz") as archive:
        members = archive.getmembers()
    assert [each.name for each in members] == sorted(each.name for each in members)
    assert {(each.mtime, each.uid, each.uname, each.mode) for each in members} == {(0, 0, "", 0o644)}


def test_what_is_there_is_not_overwritten(packed, tmp_path):
    results, _, dimat = packed
    study = Layout(results / "small").study
    run = next(results.rglob("run.json"))
    run.write_text("{}")
    done = dimat("unpack", "one.tar.xz")
    assert (
        done.returncode == 2
        and done.stderr.count("\n") == 1
        and str(run.relative_to(tmp_path)) in done.stderr
    )
    assert run.read_text() == "{}" and not study.exists()


def test_an_unfinished_study_goes_on_elsewhere(packed, tmp_path, trained):
    results, config, dimat = packed
    (missing,) = [id for id, run in trained[1].runs.items() if run.seed == 1 and run.method.name == "wa"]
    layout = Layout(results / "small")
    expected = layout.run(missing).read_bytes()
    shutil.rmtree(layout.run(missing).parent)
    done = dimat("archive", config, "--output", "part.tar.xz")
    assert done.returncode == 2 and "small 3 of 4 runs" in done.stderr
    assert dimat("archive", config, "--output", "part.tar.xz", "--all").stdout.startswith(
        "small: 3 of 4 runs\n"
    )
    assert dimat("unpack", "part.tar.xz", "--results", "elsewhere").returncode == 0
    done = dimat("sweep", config, "--results", "elsewhere")
    assert done.returncode == 0, done.stderr
    assert Layout(tmp_path / "elsewhere" / "small").run(missing).read_bytes() == expected


def test_of_an_unfinished_study_its_first_seeds_come_home_without_networks(
    packed, tmp_path, trained, small, write_config
):
    results, _, dimat = packed
    for run in trained[1].runs.values():
        if run.seed == 1:
            shutil.rmtree(Layout(results / "small").run(run.id).parent)
    fewer = write_config(small | CONTENT | {"seeds": [0]}, "fewer")
    assert dimat("archive", fewer, "--output", "fewer.tar.xz").stdout.startswith("small: 2 of 2 runs\n")
    assert dimat("unpack", "fewer.tar.xz", "--results", "home").returncode == 0
    assert not list((tmp_path / "home").rglob("*.safetensors"))
    done = dimat("collect", fewer, "--results", "home")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "home" / "small" / "records.csv").read_text().count("\n") > 2


def evil(name="small/study.json", **changes):
    """An archive with one member."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:xz") as archive:
        member = tarfile.TarInfo(name)
        for key, value in changes.items():
            setattr(member, key, value)
        archive.addfile(member)
    return content.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        evil("../study.json"),
        evil("/small/study.json"),
        evil("small/runs/../../run.json"),
        evil("small/other.txt"),
        evil("gpus/study.json"),
        evil(type=tarfile.SYMTYPE, linkname="/etc/passwd"),
        evil(type=tarfile.FIFOTYPE),
        evil()[:-40],
        b"no archive",
        b"",
    ],
)
def test_other_archives_are_refused_in_one_line(content, dimat, tmp_path):
    (tmp_path / "evil.tar.xz").write_bytes(content)
    done = dimat("unpack", "evil.tar.xz")
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "evil.tar.xz" in done.stderr
    assert not (tmp_path / "results").exists()
