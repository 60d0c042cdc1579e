"""Every command with the wrong words or the wrong kinds of files: one line, exit code 2, no traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from support.small import SMALL, command

READING = ("prepare", "partition", "pretrain", "tune", "train", "collect", "verify", "ids")
ABOVE = ("holonomy", "judge", "figure", "table", "page", "pdf")
NUMBERS = (
    "",
    "x",
    "NaN",
    "inf",
    "-inf",
    "1e400",
    "1_000",
    "0x10",
    "true",
    "\N{ARABIC-INDIC DIGIT ONE}",
    "9" * 5000,
)


def assert_one_line(done, *words):
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("dimat: error: ") and done.stderr.count("\n") == 1, done.stderr
    assert len(done.stderr) < 1000
    for word in words:
        assert str(word) in done.stderr


# Words.


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nosuch"], ["no such command 'nosuch'; expected one of prepare, partition"]),
        (["train"], ["config: missing; expected a value (see dimat train --help)"]),
        (["train", "a.yaml", "b.yaml"], ["unexpected extra argument", "b.yaml", "dimat train --help"]),
        (
            ["train", "a.yaml", "--resultz", "x"],
            ["--resultz: dimat train has no such option", "--only, --results"],
        ),
        (["train", "a.yaml", "--only"], ["--only: missing; expected a value after it"]),
        (
            ["bound", "--graphedges.edge_list", "x"],
            ["--graphedges.edge_list: dimat bound has no such option"],
        ),
        (["bound", "--graph", "edges", "--agents", "4"], ["--graph: edges.edge_list: missing"]),
        (["--version"], ["--version: dimat has no such option; expected one of --help"]),
        (["bench"], ["missing command; expected one of merge, train, agents"]),
        (["bench", "nosuch"], ["no such command 'nosuch'; expected one of merge, train, agents"]),
        (["merge"], ["parents: missing"]),
        (["claim", "nosuch"], ["nosuch: no such claim"]),
        (["derive", "nosuch"], ["derive: 'nosuch'; expected one of"]),
    ],
    ids=str,
)
def test_wrong_words(dimat, arguments, words):
    assert_one_line(dimat(*arguments), *words)


def test_no_words_are_a_call_for_help(dimat):
    done = dimat()
    assert done.returncode == 0 and "prepare" in done.stdout and done.stderr == ""


WHOLE = [
    (("audit",), "--processes", ("0", "-1", "1.5", "257")),
    (("bound",), "--agents", ("0", "-3", "1.5", "1001")),
    (("bound",), "--steps", ("0", "-3", "1.5", "1000000001")),
    (("bound",), "--local-steps", ("0",)),
    (("merge", "a", "b", "-o", "c", "--model", "plain", "--data", "digits"), "--images", ("1", "-1", "2.5")),
    (("merge", "a", "b", "-o", "c", "--model", "plain", "--data", "digits"), "--seed", ("-1", "0.5")),
    (("bench", "merge"), "--agents", ("-1", "1.5")),
    (("bench", "merge"), "--images", ("-1",)),
    (("bench", "train"), "--batch", ("-1", "2.5")),
    (("bench", "agents"), "--rounds", ("-1",)),
]
REAL = [
    (("bound",), "--smoothness", ("-1",)),
    (("bound",), "--step-size", ("-1",)),
    (("bound",), "--gap", ("-0.1",)),
    (("merge", "a", "b", "-o", "c", "--model", "plain", "--data", "digits"), "--width", ()),
]


@pytest.mark.parametrize(("arguments", "option", "values"), WHOLE, ids=str)
def test_options_that_take_whole_numbers(dimat, arguments, option, values):
    for value in (*values, *NUMBERS):
        done = dimat(*arguments, f"{option}={value}")
        assert_one_line(done, f"{option}: expected a whole number from ", f"got {value[:9]!r}"[:12])


@pytest.mark.parametrize(("arguments", "option", "values"), REAL, ids=str)
def test_options_that_take_numbers(dimat, arguments, option, values):
    for value in (*values, *NUMBERS[:6], *NUMBERS[7:9]):
        done = dimat(*arguments, f"{option}={value}")
        assert_one_line(done, f"{option}: expected a finite number", repr(value))


# Files.


def is_folder(path):
    path.mkdir()


def is_json_of_another_kind(path):
    path.write_text("[1, 2]")


def is_a_table(path):
    path.write_text("run,metric\n1,2\n")


def is_cut_off(path):
    path.write_text(json.dumps(SMALL)[:50])


def is_empty(path):
    path.write_text("")


def is_binary(path):
    path.write_bytes(bytes(range(256)))


def is_damaged(path):
    path.write_text(json.dumps(SMALL | {"sha256": "0" * 64}))


def is_of_a_newer_version(path):
    path.write_text(yaml.safe_dump(SMALL | {"new_key": 1}))


def is_missing(path):
    pass


def is_a_pipe_that_was_closed(path):
    path.symlink_to("/dev/null")


KINDS = (
    is_folder, is_json_of_another_kind, is_a_table, is_cut_off, is_empty, is_binary, is_damaged,
    is_of_a_newer_version, is_missing, is_a_pipe_that_was_closed,
)  # fmt: skip


@pytest.mark.parametrize("make", KINDS)
def test_configurations_of_other_kinds(dimat, tmp_path, make):
    make(tmp_path / "study.yaml")
    assert_one_line(dimat("train", "study.yaml"), "study.yaml")
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("name", [*READING, *ABOVE])
def test_every_command_says_the_same_of_its_configuration(dimat, tmp_path, name):
    is_cut_off(tmp_path / "study.yaml")
    assert_one_line(dimat(name, "study.yaml"), "study.yaml, line 1: not valid YAML")
    assert_one_line(dimat(name, "none.yaml"), "none.yaml: no such file")


@pytest.mark.parametrize("name", [*READING[:-1], "holonomy", "judge", "figure", "table", "pdf", "page"])
def test_a_folder_of_results_that_is_a_file(dimat, tmp_path, write_config, name):
    (tmp_path / "taken").write_text("a file")
    config = write_config(SMALL | {"tuning": {"factors": [1.0]}})
    assert_one_line(dimat(name, config, "--results", "taken"), "taken")


def test_a_configuration_from_a_pipe_is_read(tmp_path):
    done = subprocess.run(
        command("ids", "/dev/stdin"), input=json.dumps(SMALL), capture_output=True, text=True, cwd=tmp_path
    )
    assert done.returncode == 0 and "run digits-plain" in done.stdout


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_configuration_without_permission(dimat, tmp_path, write_config):
    write_config(SMALL).chmod(0)
    assert_one_line(dimat("ids", "study.yaml"), "study.yaml: cannot be read (Permission denied)")


# Streams, in a process of its own.


def test_a_reader_that_has_had_enough_is_no_mistake(tmp_path):
    shell = " ".join(command("schema")) + " | head -1; echo ${PIPESTATUS[0]}"
    done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout in ("{\n141\n", "{\n0\n")  # if all was in the pipe before its reader left
    assert done.stderr == ""


@pytest.mark.parametrize("arguments", [("schema",), ("--help",)], ids=str)
def test_a_full_disk_behind_the_standard_output(tmp_path, arguments):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command(*arguments), stdout=full, stderr=subprocess.PIPE, text=True, cwd=tmp_path
        )
    assert_one_line(done, "standard output: No space left on device")


def test_closed_streams_are_no_mistake(tmp_path):
    shell = " ".join(command("schema")) + " >&- 2>&-"
    assert subprocess.run(["bash", "-c", shell], cwd=tmp_path).returncode == 0


MORE = [
    "snakemake",
    "pandas",
    "matplotlib",
    "jinja2",
    "cvxpy",
    "sklearn",
    "torchvision",
    "sympy",
    "flint",
    "typst",
    "rocrate",
]
"""What extras of the package bring."""


def without_extras(*arguments, cwd):
    """A command where nothing but the package's own dependencies is installed."""
    program = f"""
import sys
for name in {MORE}:
    sys.modules[name] = None  # to import it is an error
sys.argv = ["dimat", *{list(map(str, arguments))}]
from dimat.cli.main import main
main()
"""
    return subprocess.run([sys.executable, "-c", program], cwd=cwd, capture_output=True, text=True)


@pytest.mark.parametrize(
    "arguments", [("--help",), ("sweep", "--help"), ("audit", "--help"), ("report", "--help")]
)
def test_help_needs_no_extras(arguments, tmp_path):
    done = without_extras(*arguments, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_what_is_not_installed_is_one_line(tmp_path):
    done = without_extras("audit", cwd=tmp_path)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.endswith("is not installed, which this needs; pip install 'dimat[pipeline,audit]'")


def test_networks_are_merged_without_extras(tmp_path):
    program = f"""
import sys
for name in {MORE}:
    sys.modules[name] = None
import torch
import dimat
from dimat.models import Plain
networks = [Plain().build(3, 10) for _ in range(2)]
print(dimat.merge(networks, torch.randn(20, 3, 8, 8)).objective)
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
