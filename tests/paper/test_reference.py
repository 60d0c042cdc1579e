"""Published numbers are found beside the cells that they belong to, and nowhere else."""

import csv
import io
import random
from pathlib import Path

import pandas
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as some
from support.archives import unpack_all
from support.made_up import write_finished, write_study

from dimat.errors import InputError
from dimat.experiment.collect import collect
from dimat.experiment.layout import Layout
from dimat.experiment.reading import parse_study
from dimat.io.files import write_checked
from paper import reference
from paper.commands import write_table
from paper.figures import figures_of
from paper.pdf import typeset
from paper.reference import FILE, joined, published
from paper.tables import tables_of

ROOT = Path(__file__).parents[2]
ROW = {
    "source": "somebody", "quantity": "final", "value": "60", "deviation": "0.5", "seeds": "5",
    "data.name": "cifar100", "model.name": "resnet20", "agents": "5", "partition.name": "iid",
    "graph.name": "ring", "method.name": "dimat",
}  # fmt: skip
STUDY = {
    "data": "cifar100", "model": {"name": "resnet20", "width": 8}, "agents": 5, "method": ["dimat", "wa"],
    "training": {"rounds": 2}, "seeds": [0, 1, 2],
}  # fmt: skip
PERCENT = {0: 50, 1: 56, 2: 62}
"""After merges, for seed 0; each further seed has one more. The mean of agents is half more."""


def accuracy(run, round, agent):
    return (PERCENT[min(round, 2)] + run.seed + (agent % 2) * 1.25) / 100


def written(*rows):
    """Rows as a file: columns of all of them."""
    text = io.StringIO()
    columns = list(dict.fromkeys(name for row in rows for name in row))
    csv.writer(text, lineterminator="\n").writerows(
        [columns, *([row.get(name, "") for name in columns] for row in rows)]
    )
    return text.getvalue()


@pytest.fixture
def say(tmp_path, monkeypatch):
    """Makes rows those of reference.csv."""

    def write(*rows):
        path = tmp_path / "published.csv"
        path.write_text(written(*rows), encoding="utf-8")
        monkeypatch.setattr(reference, "FILE", path)
        return path

    return write


def test_numbers_are_worked_out_by_hand(say, tmp_path):
    say(ROW, ROW | {"quantity": "merge 1", "value": "58"}, ROW | {"quantity": "peak", "deviation": ""})
    study, layout = write_study(tmp_path, accuracy, **STUDY)
    table = tables_of(study)["reference"].rows(layout)
    first, second, third = table.to_dict("records")
    # 5 agents: the odd two have 1.25 more, so 0.5 more on average; seeds 0, 1, 2: one more on average
    assert (first["published"], first["ours"]) == ("60.00 ± 0.50", "63.50 ± 1.00")
    assert (first["difference"], first["z"], first["seeds"]) == ("+3.50", "+7.0", "3")
    assert first["differs"] == "3 seeds, not 5" and first["method"] == "DIMAT"
    assert (second["ours"], second["difference"], second["z"]) == ("57.50 ± 1.00", "-0.50", "-1.0")
    assert (third["published"], third["ours"], third["z"]) == ("60.00", "63.50 ± 1.00", "")


def test_published_numbers_stand_beside_ours(say, tmp_path):
    say(ROW, ROW | {"source": "others", "value": "70", "deviation": "2"}, ROW | {"quantity": "peak"})
    study, layout = write_study(tmp_path, accuracy, **STUDY | {"method": ["dimat", "wa", "dpsgd"]})
    for name in ("progress", "comparison"):
        table = tables_of(study)[name]
        found = table.rows(layout).set_index("method")
        (dimat,) = (row for row in found.index if row.startswith("DIMAT"))
        assert found.loc[dimat, "published"] == "60.00 ± 0.50; 70.00 ± 2.00"
        assert found.loc[dimat, "z"] == "+7.0; -3.2"  # (63.5 - 70) / 2 = -3.25
        assert set(found.drop(index=dimat)[["published", "z"]].to_numpy().ravel()) == {""}
        assert "units of their deviation" in table.caption()


def test_other_studies_have_nothing_of_it(say, tmp_path):
    say(ROW)
    study, layout = write_study(tmp_path, accuracy, **STUDY | {"data": "cifar10"})
    tables = tables_of(study)
    assert "reference" not in tables and "units of their deviation" not in tables["progress"].caption()
    assert not {"published", "z"} & set(tables["progress"].rows(layout))


def test_what_is_not_run_is_said(say, tmp_path):
    say(ROW, ROW | {"graph.name": "complete"}, ROW | {"agents": "10"}, ROW | {"method.name": "cga"},
        ROW | {"partition.name": "dirichlet", "partition.alpha": "0.1"})  # fmt: skip
    study, layout = write_study(tmp_path, accuracy, **STUDY)
    table = tables_of(study)["reference"].rows(layout)
    assert list(table["differs"]) == ["3 seeds, not 5", *["not run here"] * 4]
    assert list(table["graph"]) == ["ring", "complete", "ring", "ring", "ring"]
    assert list(table["agents"]) == ["5", "5", "10", "5", "5"]
    assert list(table["method"])[3] == "CGA" and list(table["partition"])[4] == "Dirichlet 0.1"
    assert list(table["ours"])[1:] == [""] * 4


def test_what_differs_is_said_by_itself(say, tmp_path):
    say(ROW | {"model.width": "8", "training.rounds": "100", "calibration.images": "pooled", "seeds": ""})
    smaller = {"data": {"name": "cifar100", "train_limit": 5000}, "model": {"name": "resnet20", "width": 4}}
    calibration = [{"images": "pooled"}, {"images": "own"}]
    study, layout = write_study(tmp_path, accuracy, **STUDY | smaller | {"calibration": calibration})
    table = tables_of(study)["reference"].rows(layout)
    same = "width 4, not width 8; rounds 2, not rounds 100{}; 5000 training images"
    assert list(table["differs"]) == [same.format(""), same.format("; own images, not pooled images")]
    assert table["method"].is_unique


def test_a_merge_that_no_run_has_is_no_number(say, tmp_path):
    say(ROW | {"quantity": "merge 7"})
    study, layout = write_study(tmp_path, accuracy, **STUDY)
    (row,) = tables_of(study)["reference"].rows(layout).to_dict("records")
    assert (row["ours"], row["z"], row["differs"]) == ("", "", "3 seeds, not 5; 2 merges")


def test_an_archived_study_says_jpeg_width_and_seeds(say, tmp_path):
    say(ROW | {"data.name": "cifar10", "model.width": "8"})
    unpack_all(ROOT / "paper" / "archive" / "gpu-10.tar.xz", tmp_path)
    content = yaml.safe_load((ROOT / "config" / "gpu-10.yaml").read_text()) | {"partition": "iid"}
    study, layout = parse_study(content, "study"), Layout(tmp_path / "gpu-10")
    collect(study, layout)
    (row,) = tables_of(study)["reference"].rows(layout).to_dict("records")
    assert row["differs"] == "width 4, not width 8; JPEG images; 3 seeds, not 5"
    shown = tables_of(study)["progress"].rows(layout).set_index("method").loc["DIMAT"]
    ours = float(row["ours"].split(" ± ")[0])
    assert shown["merge 8"].startswith(f"{ours:.1f} ±") or abs(float(shown["merge 8"][:4]) - ours) < 0.06
    assert shown["z"] == row["z"] == f"{(ours - 60) / 0.5:+.1f}"


def test_the_paper_shows_them(say, tmp_path):
    say(ROW, ROW | {"agents": "10"})
    study, layout = write_finished(tmp_path, **STUDY | {"seeds": [0, 1], "training": {"rounds": 1}})
    for name, figure in figures_of(study).items():
        write_checked(layout.figure(name), b'<svg xmlns="http://www.w3.org/2000/svg"/>')
        write_checked(layout.figure(name, "txt"), figure.caption().encode())
    for name, table in tables_of(study).items():
        write_table(layout, name, table)
    with_them = typeset(study, layout)
    assert with_them.startswith(b"%PDF")
    layout.table("reference", "csv").unlink()
    with pytest.raises(InputError, match=r"reference\.csv: no such file; dimat table --only reference"):
        typeset(study, layout)


def test_the_file_that_is_shipped():
    first, *others = published(FILE)
    assert (first.value, first.deviation, first.seeds) == (67.12, 0.22, None)
    assert first.keys == {
        "data.name": "cifar100", "model.name": "resnet20", "model.width": "8", "agents": "5",
        "partition.name": "iid", "graph.name": "ring", "method.name": "dimat",
    }  # fmt: skip
    assert all("not independent" in each.source and each.seeds == 1 for each in others)
    assert max(each.value for each in others) == 67.9


REFUSED = {
    "an unknown column": (ROW | {"colour": "red"}, "line 1: 'colour' is an unknown column"),
    "an unknown key": (ROW | {"data.nam": "x"}, "line 2: data.cifar100: 'nam' is an unknown key"),
    "an unknown key without values": (ROW | {"data.nam": ""}, "line 1: 'data.nam' is an unknown column"),
    "an unknown part of a key": (ROW | {"model.width.a": "1"}, "line 2: model.resnet20.width"),
    "an unknown column without values": (ROW | {"colour": ""}, "line 1: 'colour' is an unknown column"),
    "an unknown data set": (ROW | {"data.name": "cifar1000"}, "line 2: data: 'cifar1000' is no known name"),
    "an unknown method": (ROW | {"method.name": "dimta"}, "line 2: method: 'dimta' is no known name"),
    "a key of another graph": (ROW | {"graph.probability": "0.5"}, "line 2: graph.ring: 'probability' is an"),
    "no number of agents": (ROW | {"agents": "five"}, "line 2: agents"),
    "half an agent": (ROW | {"agents": "2.5"}, "line 2: agents"),
    "several agents": (ROW | {"agents": "[5, 10]"}, "line 2: expected one value for each key"),
    "a negative width": (ROW | {"model.width": "-8"}, "line 2: model.resnet20.width"),
    "a name for its keys": (ROW | {"training.optimizer": "adam"}, "line 2: training.optimizer: 'adam' is no"),
    "both": (ROW | {"training.optimizer": "adam", "training.optimizer.name": "adam"}, "expected one of both"),
    "no number": (ROW | {"value": "67,1"}, "line 2: value: expected a finite number, got '67,1'"),
    "with its deviation": (ROW | {"value": "67 ± 1"}, "line 2: value: expected a finite number"),
    "not a number": (ROW | {"value": "nan"}, "line 2: value: expected a finite number"),
    "infinite": (ROW | {"deviation": "inf"}, "line 2: deviation: expected a finite number"),
    "no deviation": (ROW | {"deviation": "0"}, "line 2: deviation: expected a number above 0"),
    "half a seed": (ROW | {"seeds": "2.5"}, "line 2: seeds: expected a whole number"),
    "no value": (ROW | {"value": ""}, "line 2: value: missing"),
    "no source": (ROW | {"source": " "}, "line 2: source: missing"),
    "no graph": (ROW | {"graph.name": ""}, "line 2: graph.name: missing"),
    "another quantity": (ROW | {"quantity": "best"}, "line 2: quantity: expected final, peak or merge N"),
    "merge 0": (ROW | {"quantity": "merge 0"}, "line 2: quantity: expected final, peak or merge N"),
    "a graph that cannot be": (ROW | {"graph.name": "hypercube"}, "line 2: "),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_mistake_is_one_line_that_names_the_row(case, say):
    row, message = REFUSED[case]
    path = say(row)
    with pytest.raises(InputError) as refused:
        published()
    assert str(refused.value).startswith(f"{path}: ") and message in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


TEXTS = {
    "twice": (written(ROW, ROW | {"value": "1"}), "line 3: the same source, quantity and setting"),
    "twice, written differently": (
        written(ROW | {"model.width": "8"}, ROW | {"model.width": " 8 "}), "line 3: the same source",
    ),
    "a column twice": ("source,source\n", "line 1: the column 'source' is there twice"),
    "a column less": ("source,quantity\n", "line 1: the column 'value' is missing"),
    "nothing": ("", "nothing in it"),
    "a value less": (written(ROW).rpartition(",")[0] + "\n", "line 2: expected 11 values, got 10"),
    "quotes that do not end": (written(ROW) + '"', "expected CSV"),
}  # fmt: skip


@pytest.mark.parametrize("case", TEXTS)
def test_a_damaged_file_is_one_line(case, tmp_path):
    path = tmp_path / "published.csv"
    text, message = TEXTS[case]
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as refused:
        published(path)
    assert message in str(refused.value) and len(str(refused.value).splitlines()) == 1
    path.write_bytes(b"\xff\xfe,\n")
    with pytest.raises(InputError, match="UTF-8"):
        published(path)


def test_a_mistake_ends_a_command_with_code_2(say, dimat, write_config):
    say(ROW | {"value": "many"})
    ended = dimat("table", write_config({**STUDY, "name": "study", "partition": "iid", "graph": "ring"}))
    assert ended.returncode == 2 and "line 2: value: expected a finite number, got 'many'" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1


ROWS = some.lists(
    some.fixed_dictionaries(
        {
            "data.name": some.sampled_from(["cifar100", "cifar10"]),
            "method.name": some.sampled_from(["dimat", "wa", "local", "pooled", "dpsgd"]),
            "graph.name": some.sampled_from(["ring", "complete"]),
            "partition.name": some.sampled_from(["iid", "classes"]),
            "agents": some.sampled_from(["5", "3"]),
        }
    ),
    max_size=6,
    unique_by=lambda row: tuple(sorted(row.items())),
)


@given(ROWS, some.randoms(use_true_random=False))
def test_no_row_is_dropped_and_cells_agree_with_a_slow_reference(rows, chance: random.Random):
    """Looking at every run of a grid by what was asked for, in whatever order columns and rows come."""
    grid = {
        "name": "study", "model": "resnet20", "partition": ["iid", "classes"], "graph": ["ring", "complete"],
        "calibration": [{"images": "own"}, {"images": "pooled"}],
    }  # fmt: skip
    study = parse_study(STUDY | grid | {"method": ["dimat", "wa", "local", "pooled"]}, "study")
    rows = [ROW | row | {"source": str(number)} for number, row in enumerate(rows)]
    columns = list(ROW)
    chance.shuffle(columns)
    chance.shuffle(rows)
    parsed = reference._parsed(
        written({name: "" for name in columns}, *rows).replace(f"{',' * 10}\n", ""), ""
    )
    found = joined(study, parsed)
    assert {each.published.source for each in found} == {row["source"] for row in rows}
    for row in rows:
        expected = {
            id
            for id, run in study.runs.items()
            if run.data.name == row["data.name"] and run.method.name == row["method.name"]
            if run.graph is None or run.graph.name == row["graph.name"]
            if run.partition is None or run.partition.name == row["partition.name"]
            if run.partition is None or str(run.agents) == row["agents"]
        }
        own = [each.ids for each in found if each.published.source == row["source"]]
        assert {id for ids in own for id in ids} == expected
        assert own == [()] or all(len(ids) == 3 for ids in own)  # a cell is its three seeds
    assert pandas.Series([each.ids for each in found if each.ids]).map(len).sum() % 3 == 0
