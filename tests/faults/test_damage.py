"""Every file that is read, damaged by a flipped bit or cut off: refused in one line, or without effect."""

import hashlib
import random
from collections import Counter
from dataclasses import dataclass

import pytest
import yaml
from support.faults import STEPS, STUDY, Study, comparable
from support.pictures import CLASSES, picture, zipped
from support.refusals import refused, run

from dimat.cli import main as cli
from dimat.data import ImageSet
from dimat.io.files import write_json
from theory.report import read_audit


def damaged(content, generator):
    """The content cut off somewhere, or with a flipped bit."""
    if generator.random() < 0.25:
        return content[: generator.randrange(len(content))]
    changed = bytearray(content)
    changed[generator.randrange(len(changed))] ^= 1 << generator.randrange(8)
    return bytes(changed)


class Snapshot:
    """All files below a folder, to be restored."""

    def __init__(self, root):
        self.root = root
        self.files = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}

    def restore(self):
        for path in self.root.rglob("*"):
            if path.is_file() and path not in self.files:
                path.unlink()
        for path, content in self.files.items():
            if not path.exists() or path.read_bytes() != content:
                path.write_bytes(content)


# The files of a study.


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The small study, built, and a snapshot of it."""
    study = Study(tmp_path_factory.mktemp("made"))
    study.clear()
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.chdir(study.folder)
        for step in STEPS:
            assert run(monkeypatch, step, "study.json")[0] == 0
    write_json(study.layout.study, STUDY)
    return study, Snapshot(study.layout.results)


@dataclass(frozen=True)
class File:
    """A file, the command that reads it, and what that writes; ``some`` cases in the short version."""

    path: str
    command: tuple[str, ...]
    output: str
    some: int = 24
    unfinished: str = ""
    """The step that is killed in its second write of a checkpoint; the file is its first."""


PARTITION = "shared/partitions/{partitioned}.json"
START = "shared/starts/{pretrained}.safetensors"
RECORDS = "shared/runs/{run}/records.csv"
RATE = "shared/choices/{tuned}.json"
TABLE = ("table", "--only", "comparison")
FILES = {
    "data": File("shared/data/{prepared}.safetensors", ("partition",), PARTITION),
    "partition": File(PARTITION, ("pretrain",), START, 8),
    "partition in a figure": File(
        PARTITION, ("figure", "--only", "holdings-digits-iid-3"), "small/figures/holdings-digits-iid-3.svg", 4
    ),
    "start": File(START, ("train",), RECORDS, 8),
    "checkpoint of a start": File(
        "shared/checkpoints/{pretrained}.safetensors", ("pretrain",), START, 8, "pretrain"
    ),
    "checkpoint of a run": File("shared/checkpoints/{run}.safetensors", ("train",), RECORDS, 8, "train"),
    "tuned learning rate": File(RATE, ("train",), RECORDS, 8),
    "records of a trial": File("shared/runs/{trial}/records.csv", ("tune",), RATE),
    "records of a run": File(RECORDS, ("collect",), "small/records.csv"),
    "checksum of records": File(RECORDS + ".sha256", ("collect",), "small/records.csv"),
    "provenance of a run": File("shared/runs/{run}/run.json", ("collect",), "small/provenance.json"),
    "records": File("small/records.csv", TABLE, "small/tables/comparison.csv", 12),
}


def ids(study):
    """The parts of the first run, by kind."""
    run = next(iter(study.runs.values()))
    trial = next(iter(run.tuned.trials().values()))
    parts = {
        "prepared": run.partitioned.prepared,
        "partitioned": run.partitioned,
        "pretrained": run.pretrained,
        "run": run,
        "tuned": run.tuned,
        "trial": trial,
    }
    return {kind: part.id for kind, part in parts.items()}


@pytest.mark.parametrize("kind", FILES)
def test_a_damaged_file_of_a_study(made, monkeypatch, long, kind):
    study, snapshot = made
    file, root = FILES[kind], study.layout.results
    monkeypatch.chdir(study.folder)
    snapshot.restore()
    path, output = (root / name.format(**ids(study.study)) for name in (file.path, file.output))
    expected = comparable(output)
    if file.unfinished:
        output.unlink()
        process = study.start(file.unfinished, fatal_write=2)
        process.join()
        assert process.exitcode < 0
    begun, content = Snapshot(root), path.read_bytes()
    found = Counter()
    for case in range(1000 if long else file.some):
        path.write_bytes(damaged(content, random.Random(case)))
        output.unlink(missing_ok=True)
        code, _, err = run(monkeypatch, *file.command[:1], "study.json", *file.command[1:])
        if refused(code, err):
            assert path.name in err, f"case {case}: {err}"
            assert not output.exists()
            found["refused"] += 1
        else:
            assert comparable(output) == expected, f"case {case}"
            found["same numbers"] += 1
        begun.restore()
    snapshot.restore()
    print(f"{kind}: {dict(found)}")
    assert found["refused"]


def test_a_damaged_kept_checkpoint(made, monkeypatch, long):
    study, snapshot = made
    monkeypatch.chdir(study.folder)
    snapshot.restore()
    (path,) = study.layout.shared.root.glob("runs/*-dimat-*/last_round.safetensors")
    content = path.read_bytes()
    for case in range(1000 if long else 8):
        path.write_bytes(damaged(content, random.Random(case)))
        code, out, _ = run(monkeypatch, "verify", "study.json", "--only", path.parent.name)
        named = [line for line in out.splitlines() if line.startswith("WRONG")]
        assert (code == 1 and "last_round" in "".join(named)) or "gives the recorded numbers again" in out, (
            case
        )
    snapshot.restore()


def test_a_damaged_audit(made, long):
    study, snapshot = made
    path = study.layout.audit
    content, expected = path.read_bytes(), read_audit(path)
    for case in range(1000 if long else 24):
        path.write_bytes(damaged(content, random.Random(case)))
        with pytest.raises(cli.InputError, match=r"audit\.csv"):
            read_audit(path)
    snapshot.restore()
    assert read_audit(path).equals(expected) and len(expected)


def test_a_damaged_network_to_merge(made, monkeypatch, long):
    study, snapshot = made
    monkeypatch.chdir(study.folder)
    (path,) = study.layout.shared.root.glob("starts/*seed0*")
    content = path.read_bytes()
    merge = ("merge", "--model", "{name: plain, widths: [2, 3]}", "--data", "digits", "--images", "50")
    output = study.folder / "merged.safetensors"
    assert run(monkeypatch, *merge, path, "-o", output)[0] == 0
    expected = output.read_bytes()
    for case in range(1000 if long else 6):
        output.unlink(missing_ok=True)
        path.write_bytes(damaged(content, random.Random(case)))
        code, _, err = run(monkeypatch, *merge, path, "-o", output)
        assert refused(code, err) or output.read_bytes() == expected, f"case {case}"
    snapshot.restore()


# Configurations. A damaged one that is valid is another configuration.


def test_a_damaged_configuration(tmp_path, monkeypatch, long):
    text = yaml.safe_dump(STUDY).encode()
    path = tmp_path / "damaged.yaml"
    valid = 0
    for case in range(1000 if long else 60):
        path.write_bytes(damaged(text, random.Random(case)))
        code, _, err = run(monkeypatch, "ids", path)
        if refused(code, err):
            assert str(path) in err
        else:
            valid += 1
    assert valid


def test_a_damaged_study_of_the_pipeline_is_never_another_one(made, monkeypatch, long):
    study, snapshot = made
    content = study.layout.study.read_bytes()
    _, expected, _ = run(monkeypatch, "ids", study.layout.study)
    for case in range(1000 if long else 60):
        study.layout.study.write_bytes(damaged(content, random.Random(case)))
        code, out, err = run(monkeypatch, "ids", study.layout.study)
        assert refused(code, err) or out == expected, f"case {case}"
    snapshot.restore()


def test_a_damaged_file_of_edges(tmp_path, monkeypatch, long):
    edges = tmp_path / "edges.txt"
    config = tmp_path / "study.yaml"
    config.write_text(yaml.safe_dump(STUDY | {"graph": {"name": "file", "path": str(edges)}}))
    for case in range(1000 if long else 30):
        edges.write_bytes(damaged(b"# a ring\n0 1\n1 2\n2 0  # closed\n", random.Random(case)))
        code, _, err = run(monkeypatch, "ids", config)
        refused(code, err)


# Images.


def fill(root, endings):
    """Images of all formats in the folders of `CLASSES`."""
    for number, (label, counts) in enumerate(CLASSES.items()):
        for split, count in zip(("train", "test"), counts, strict=True):
            folder = root / split / label
            folder.mkdir(parents=True)
            for image in range(count):
                ending = endings[(number + image) % len(endings)]
                picture((number, split == "train", image), 12, 12).save(folder / f"{image}.{ending}")
    (root / "notes.txt").write_text("no image")
    return root


def images_of(path, monkeypatch, **data):
    """Prepare a study with these images: what comes of it, `None` if they are refused."""
    content = STUDY | {"data": {"name": "folder", "path": str(path), **data}, "keep_checkpoints": False}
    (path.parent / "study.yaml").write_text(yaml.safe_dump(content))
    for old in (path.parent / "results").rglob("*.safetensors"):
        old.unlink()
    monkeypatch.chdir(path.parent)
    code, _, err = run(monkeypatch, "prepare", "study.yaml")
    if refused(code, err):
        assert str(path.name) in err
        return None
    sources = [ImageSet.load(source) for source in sorted((path.parent / "results").rglob("*.safetensors"))]
    return [(images.fingerprint(), images.classes) for images in sources]


def test_a_damaged_zip(tmp_path, monkeypatch, long):
    path = zipped(fill(tmp_path / "images", ["png", "jpg", "bmp", "gif", "webp", "tif", "ppm"]), top="top/")
    content, expected = path.read_bytes(), images_of(path, monkeypatch)
    found = Counter()
    for case in range(1000 if long else 40):
        path.write_bytes(damaged(content, random.Random(case)))
        again = images_of(path, monkeypatch)
        assert again in (None, expected), f"case {case}"
        found["refused" if again is None else "same images"] += 1
    print(found)
    assert found["refused"] and found["same images"]


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "gif", "webp", "tif", "ppm"])
def test_a_damaged_image_in_a_folder_is_no_traceback(tmp_path, monkeypatch, long, ending):
    """Whether it is the image it was, only a checksum can say; see below."""
    root = fill(tmp_path / "images", [ending])
    path = root / "train" / "bee" / f"1.{ending}"
    content = path.read_bytes()
    for case in range(1000 if long else 12):
        path.write_bytes(damaged(content, random.Random(case)))
        images_of(root, monkeypatch)


def test_a_damaged_folder_with_checksums(tmp_path, monkeypatch, long):
    root = fill(tmp_path / "images", ["bmp", "jpg"])
    files = sorted(path for path in root.rglob("*") if path.is_file())
    sums = root / "SHA256SUMS"
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(root)}\n" for path in files]
    sums.write_text("".join(lines))
    expected = images_of(root, monkeypatch)
    assert expected is not None
    generator = random.Random(0)
    found = Counter()
    for case in range(1000 if long else 40):
        path = generator.choice([*files, sums, sums])
        content = path.read_bytes()
        path.write_bytes(damaged(content, random.Random(case)))
        again = images_of(root, monkeypatch)
        assert again in (None, expected), f"case {case}: {path}"
        found["refused" if again is None else "same images"] += 1
        path.write_bytes(content)
    assert found["refused"]
