"""`dimat merge`: networks in files, merged by one command."""

import re
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file, save_file

from dimat.models import ResNet20

MODEL = ("--model", "{name: plain, widths: [3, 4]}", "--data", "digits")


@pytest.fixture
def networks(dimat, small, write_config, tmp_path):
    """Two trained networks as plain state dicts, and the file of starts they come from."""
    config = write_config(small)
    for step in ("prepare", "partition", "pretrain"):
        assert dimat(step, config).returncode == 0
    (start,) = (tmp_path / "results" / "shared" / "starts").iterdir()
    tensors = load_file(start)
    for agent, name in enumerate(("a", "b")):
        prefix = f"{agent}/network/"
        state = {key.removeprefix(prefix): t for key, t in tensors.items() if key.startswith(prefix)}
        save_file(state, tmp_path / f"{name}.safetensors")
    return start


def accuracies(text):
    return {name.strip(): float(value) for name, value in re.findall(r"^(.*?)\s+([\d.]+) %$", text, re.M)}


def test_two_networks_become_one(dimat, networks, tmp_path):
    done = dimat("merge", *MODEL, "a.safetensors", "b.safetensors", "-o", "merged.safetensors")
    assert done.returncode == 0, done.stderr
    found = accuracies(done.stdout)
    assert set(found) == {
        "network a.safetensors", "network b.safetensors",
        "naive average", "naive average, recalibrate", "merged",
    }  # fmt: skip
    assert "objective as merged" in done.stdout
    one, merged = load_file(tmp_path / "a.safetensors"), load_file(tmp_path / "merged.safetensors")
    assert {name: tensor.shape for name, tensor in merged.items()} == {n: t.shape for n, t in one.items()}
    # What was written is what was measured.
    again = dimat("merge", *MODEL, "merged.safetensors", "merged.safetensors", "-o", "again.safetensors")
    assert accuracies(again.stdout)["network merged.safetensors"] == found["merged"]


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "_orig_mod.module."])
def test_files_of_wrapped_networks_and_of_few_bits(prefix, dimat, networks, tmp_path):
    """The merged network has plain names, and the types of the first."""
    expected = dimat("merge", *MODEL, "a.safetensors", "b.safetensors", "-o", "merged.safetensors")
    for name in ("a", "b"):
        state = {prefix + key: tensor for key, tensor in load_file(tmp_path / f"{name}.safetensors").items()}
        save_file(state | {"n_averaged": torch.tensor(3)}, tmp_path / f"{name}-wrapped.safetensors")
        halves = {key: each.half() if each.is_floating_point() else each for key, each in state.items()}
        save_file(halves, tmp_path / f"{name}-half.safetensors")
    found = dimat(
        "merge", *MODEL, "a-wrapped.safetensors", "b-wrapped.safetensors", "-o", "again.safetensors"
    )
    assert accuracies(found.stdout)["merged"] == accuracies(expected.stdout)["merged"]
    assert load_file(tmp_path / "again.safetensors").keys() == load_file(tmp_path / "a.safetensors").keys()
    found = dimat("merge", *MODEL, "a-half.safetensors", "b-half.safetensors", "-o", "half.safetensors")
    assert found.returncode == 0, found.stderr
    kinds = {each.dtype for each in load_file(tmp_path / "half.safetensors").values()}
    assert kinds == {torch.float16, torch.int64}


@pytest.mark.parametrize(
    "options",
    [
        ("--matcher", "weight", "--repair", "repair"),
        ("--matcher", "{name: activation-weight, weights: 0.2}", "--alignment", "per_edge"),
        ("--matcher", "weight", "--repair", "none"),
        ("--coefficients", "{name: entropy, steps: 3}", "--images", "100"),
        ("--matcher", "null", "--repair", "recalibrate"),
    ],
    ids=str,
)
def test_options_and_the_agents_of_a_study(options, dimat, networks):
    done = dimat("merge", *MODEL, networks, "-o", "merged.safetensors", *options)
    assert done.returncode == 0, done.stderr
    assert sum(name.startswith("network") for name in accuracies(done.stdout)) == 3


def test_without_a_matcher_networks_are_averaged_as_they_stand(dimat, networks):
    done = dimat("merge", *MODEL, networks, "-o", "merged.safetensors", "--matcher", "null")
    found = accuracies(done.stdout)
    assert found["merged"] == found["naive average, recalibrate"]
    assert "objective" not in done.stdout


def damaged(path, tmp_path):
    content = (tmp_path / "a.safetensors").read_bytes()
    path.write_bytes(content[: len(content) // 2])


def not_a_file(path, tmp_path):
    path.write_bytes(b"not tensors at all")


def another_architecture(path, tmp_path):
    save_file(ResNet20().build(1, 10).state_dict(), path)


def another_width(path, tmp_path):
    state = load_file(tmp_path / "a.safetensors")
    state["features.0.weight"] = torch.zeros(7, 1, 3, 3)
    save_file(state, path)


def not_finite(path, tmp_path):
    state = load_file(tmp_path / "a.safetensors")
    state["features.0.weight"][0] = torch.nan
    save_file(state, path)


def one_too_many(path, tmp_path):
    save_file(load_file(tmp_path / "a.safetensors") | {"extra": torch.zeros(1)}, path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (damaged, "bad.safetensors: damaged"),
        (not_a_file, "bad.safetensors: damaged"),
        (another_architecture, "bad.safetensors: lacks 'features.0.weight'"),
        (another_width, r"'features.0.weight' has shape \(7, 1, 3, 3\); .*expected \(3, 1, 3, 3\)"),
        (not_finite, "'features.0.weight' holds values that are not finite"),
        (one_too_many, "holds 'extra', which the architecture"),
    ],
)
def test_files_that_do_not_fit_are_named(spoil, message, dimat, networks, tmp_path):
    spoil(tmp_path / "bad.safetensors", tmp_path)
    done = dimat("merge", *MODEL, "a.safetensors", "bad.safetensors", "-o", "merged.safetensors")
    assert done.returncode == 2
    assert re.search(message, done.stderr), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "merged.safetensors").exists()


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ("a", (), "a.safetensors: a single network; expected two or more"),
        (("a", "none"), (), "none.safetensors: no such file"),
        (("a", "m"), (), "--output: m.safetensors is one of the networks"),
        ("ab", ("--matcher", "magic"), "'magic' is no known name"),
        ("ab", ("--matcher", "{"), "--matcher, line 1: not valid YAML"),
        ("ab", ("--repair", "glue"), "repair: 'glue' is not valid"),
        ("ab", ("--width", "2"), "--model: .*'width' is an unknown key"),
    ],
)
def test_mistakes_take_one_line(files, options, message, dimat, networks, tmp_path):
    done = dimat("merge", *MODEL, *(f"{name}.safetensors" for name in files), *options, "-o", "m.safetensors")
    assert done.returncode == 2
    assert re.search(message, done.stderr), done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "m.safetensors").exists()


def test_a_known_model_and_width(dimat, tmp_path):
    for seed, name in enumerate(("a", "b")):
        torch.manual_seed(seed)
        save_file(ResNet20(width=2).build(1, 10).state_dict(), tmp_path / f"{name}.safetensors")
    done = dimat(
        "merge", "--model", "resnet20", "--width", "2",
        "--data", "{name: digits, train_limit: 50, test_limit: 50}",
        "a.safetensors", "b.safetensors", "-o", "out/merged.safetensors",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "out" / "merged.safetensors").exists()


def test_what_was_learnt_since_a_start_is_added_to_it(dimat, networks, tmp_path):
    """Of networks that are the start there is nothing to add, whatever the coefficients."""
    options = ("--matcher", "null", "--repair", "none", "--coefficients", "{name: adamerging, steps: 2}")
    done = dimat(
        "merge", *MODEL, "a.safetensors", "a.safetensors", "--base", "a.safetensors", "-o", "m", *options
    )
    assert done.returncode == 0, done.stderr
    start, merged = (load_file(tmp_path / name) for name in ("a.safetensors", "m"))
    assert all(torch.equal(merged[name], start[name]) for name in start)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("--coefficients", "adamerging"),
            "--base: nothing; with coefficients adamerging, expected",
        ),
        (("--base", "a.safetensors"), "--base: a.safetensors; with coefficients mixing, expected none"),
        (("--coefficients", "adamerging", "--base", "no.safetensors"), "no.safetensors: no such file"),
    ],
    ids=str,
)
def test_a_start_is_there_where_it_is_needed(dimat, networks, options, said):
    done = dimat("merge", *MODEL, "a.safetensors", "b.safetensors", "-o", "merged.safetensors", *options)
    assert done.returncode == 2 and said in done.stderr


@pytest.mark.parametrize("ending", ["svg", "pdf", "png"])
def test_the_line_between_networks_is_drawn(ending, dimat, networks, tmp_path):
    figure = tmp_path / f"barrier.{ending}"
    options = ("--matcher", "weight", "--images", "50", "--barrier", figure)
    done = dimat("merge", *MODEL, networks, "-o", "merged.safetensors", *options)
    assert done.returncode == 0, done.stderr
    heights = re.findall(r"barrier (before|after) matching, mean of 3 pairs +([\d.]+)$", done.stdout, re.M)
    assert [kind for kind, _ in heights] == ["before", "after"]
    assert all(float(height) >= 0 for _, height in heights)
    assert figure.stat().st_size > 5000
    if ending == "svg":
        again = tmp_path / "again.svg"
        options = (*options[:-1], again)
        assert dimat("merge", *MODEL, networks, "-o", "merged.safetensors", *options).returncode == 0
        assert again.read_bytes() == figure.read_bytes()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--barrier", "line.gif"), "--barrier: line.gif; expected a file that ends in .svg, .pdf, .png"),
        (("--barrier", "line.svg", "--data", "sines"), "--barrier: sines has waves; expected a data set of"),
    ],
)
def test_lines_that_cannot_be_drawn_are_refused_before_the_work(options, message, dimat, networks, tmp_path):
    done = dimat("merge", *MODEL, "a.safetensors", "b.safetensors", "-o", "merged.safetensors", *options)
    assert done.returncode == 2 and message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert not (tmp_path / "merged.safetensors").exists()


def test_without_matplotlib_one_line_says_what_is_missing(networks, tmp_path):
    """Everything but the figure needs no matplotlib."""
    blocked = "import sys; sys.modules['matplotlib'] = None; from dimat.cli.main import main; main()"
    files = ("a.safetensors", "b.safetensors", "-o", "merged.safetensors")
    for options, code in ((("--barrier", "line.svg"), 2), ((), 0)):
        done = subprocess.run(
            [sys.executable, "-c", blocked, "merge", *MODEL, *files, *options],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        if code:
            assert "matplotlib is not installed, which this needs" in done.stderr
            assert len(done.stderr.strip().splitlines()) == 1
