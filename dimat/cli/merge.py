"""The tool `dimat merge`: trained networks in files, merged into one file."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from dimat.cli.arguments import real, whole
from dimat.cli.barrier_figure import check_figure, draw_barriers
from dimat.data import AnyDataSet, DataFolders, ImageSet
from dimat.errors import InputError
from dimat.experiment.reading import describe
from dimat.io.files import read_tensors, write_tensors
from dimat.io.written import parse_written
from dimat.merging.api import Merged, merge
from dimat.merging.averaging.options import AnyCoefficients
from dimat.merging.averaging.task_vectors import TaskVectors
from dimat.merging.barrier import Barrier
from dimat.merging.barrier import barrier as barriers
from dimat.merging.calibration.options import Calibration
from dimat.merging.matching.options import Matching
from dimat.models import AnyModel, Model
from dimat.randomness import Randomness
from dimat.tasks import Classification
from dimat.tasks.images import EVALUATED, scores_of

commands = typer.Typer()

Parents = Annotated[list[Path], typer.Argument(help="Networks: safetensors files of state dicts.")]
Output = Annotated[
    Path, typer.Option("--output", "-o", help="The merged network, in the order of the first.")
]
ModelName = Annotated[str, typer.Option("--model", help="Architecture: a name, or a mapping in YAML.")]
Width = Annotated[float | None, real("Short for {width: ...} in --model.")]
Data = Annotated[str, typer.Option(help="Data set: a name, name:path, or a mapping in YAML.")]
Matcher = Annotated[
    str, typer.Option(help="How neurons are matched: a name, a mapping in YAML, or null: not at all.")
]
Alignment = Annotated[
    str, typer.Option(help="consistent, universe: all with each other; per_edge: each with the first.")
]
Coefficients = Annotated[str, typer.Option(help="Weights of the average: a name, or a mapping in YAML.")]
Base = Annotated[
    Path | None,
    typer.Option(help="The network that all were trained on from, for coefficients of task vectors."),
]
Repair = Annotated[str, typer.Option(help="none, recalibrate, repair, rescale or least_squares.")]
Line = Annotated[
    Path | None,
    typer.Option(help="Draw test loss and accuracy between each two networks, before and after matching."),
]
Images = Annotated[int, whole("Match and repair on so many training images.", 2)]
Seed = Annotated[int, whole("Which images are drawn.", 0)]


@commands.command("merge")
def merge_files(
    parents: Parents,
    output: Output,
    model: ModelName,
    data: Data,
    width: Width = None,
    matcher: Matcher = "activation",
    alignment: Alignment = "consistent",
    coefficients: Coefficients = "mixing",
    base: Base = None,
    repair: Repair = "recalibrate",
    barrier: Line = None,
    images: Images = 2000,
    seed: Seed = 0,
) -> None:
    """Merge trained networks of one architecture into one file, and report what that costs in accuracy.

    A file of a study's starts stands for the networks of all its agents. Values of options are explained
    in config/README.md. For example: dimat merge --model resnet20 --width 2 --data folder:images
    a.safetensors b.safetensors -o merged.safetensors
    """
    architecture: Model = parsed("--model", AnyModel, model, width_of(width))
    options = {
        "matcher": parse_written(matcher, "--matcher"),
        "alignment": alignment,
        "coefficients": parse_written(coefficients, "--coefficients"),
        "repair": repair,
    }
    if options["matcher"] is not None:
        validated("merge", Matching, {"matcher": options["matcher"], "alignment": alignment})
    repairs = validated("merge", Calibration, {"repair": repair}).repair
    weights = validated("merge.coefficients", AnyCoefficients, options["coefficients"])
    if isinstance(weights, TaskVectors) != (base is not None):
        needed = "expected the network that all were trained on from" if base is None else "expected none"
        raise InputError(f"--base: {base or 'nothing'}; with coefficients {weights.name}, {needed}")
    if output.resolve() in [path.resolve() for path in parents]:
        raise InputError(f"--output: {output} is one of the networks to merge; expected another file")
    states = [(path, read_state(path)) for path in parents]  # mistakes come before the work
    asked = parsed("--data", AnyDataSet, data, {})
    if barrier is not None:
        check_figure(barrier)
        if asked.examples != "images":
            raise InputError(
                f"--barrier: {asked.name} has {asked.examples}; expected a data set of images with labels"
            )
    data_set = asked.prepared(DataFolders.from_environment(output.parent / "downloads"))
    architecture.check_size(*data_set.shape[1:])
    networks = [
        found for path, tensors in states for found in networks_of(path, tensors, architecture, data_set)
    ]
    if len(networks) < 2:
        raise InputError(f"{parents[0]}: a single network; expected two or more to merge")
    if base is not None:
        starts = list(networks_of(base, read_state(base), architecture, data_set))
        if len(starts) > 1:
            raise InputError(f"--base: {base} has {len(starts)} networks; expected one")
        options["base"] = starts[0][1]

    chosen = torch.randperm(
        len(data_set.train_images), generator=Randomness("merge", seed).torch("images for merging")
    )[:images]
    batches = data_set.normalized(data_set.train_images[chosen])
    models = [network for _, network in networks]
    merged = merge(models, batches, **options)
    naive = merge(models, batches, matcher=None, repair="none").model
    repaired = merge(models, batches, matcher=None, repair=repairs).model if repairs != "none" else None

    rows = [(f"network {name}", accuracy(network, data_set)) for name, network in networks]
    rows.append(("naive average", accuracy(naive, data_set)))
    if repaired:
        rows.append((f"naive average, {repair}", accuracy(repaired, data_set)))
    rows.append(("merged", accuracy(merged.model, data_set)))
    lines = {}
    if barrier is not None:
        lines = lines_between(models, data_set, batches, options)
        draw_barriers(barrier, lines, f"{data_set.description}; {matcher}, {alignment}; repair: {repair}")
    options["base"] = str(base) if base else None
    about = {"merged": [str(path) for path in parents], "options": options, "test_accuracy": rows}
    types = {name: tensor.dtype for name, tensor in plainly_named(states[0][1]).items()}
    state = merged.model.state_dict()
    write_tensors(output, {name: each.to(types.get(name, each.dtype)) for name, each in state.items()}, about)
    typer.echo(report(rows, merged, lines, data_set.description))


def lines_between(
    models: list[nn.Module], data: ImageSet, images: Tensor, options: dict[str, Any]
) -> dict[str, dict[tuple[int, int], Barrier]]:
    """The lines between each two networks, before and after matching, on all test images."""
    shown = [
        (data.normalized(pixels), labels)
        for pixels, labels in zip(
            data.test_images.split(EVALUATED), data.test_labels.split(EVALUATED), strict=True
        )
    ]
    alike = {"images": images, "alignment": options["alignment"], "repair": options["repair"]}
    return {
        "before matching": barriers(models, shown, matcher=None, **alike),
        "after matching": barriers(models, shown, matcher=options["matcher"], **alike),
    }


def width_of(width: float | None) -> dict[str, float]:
    """The key of an architecture; some count channels in whole numbers."""
    if width is None:
        return {}
    return {"width": int(width) if width.is_integer() else width}


def parsed(key: str, kind: Any, text: str, more: dict[str, Any]) -> Any:
    """A spec from a name, from ``name:path``, or from a mapping in YAML."""
    name, colon, path = text.partition(":")
    if text.lstrip().startswith("{"):
        value = parse_written(text, key)
    else:
        value = {"name": name} | ({"path": path} if colon else {})
    return validated(key, kind, value | more)


def validated(key: str, kind: Any, value: Any) -> Any:
    """``value`` as a ``kind``; `InputError` with the first mistake."""
    try:
        return TypeAdapter(kind).validate_python(value)
    except ValidationError as error:
        raise InputError(f"{key}: {describe(error)}") from None


def networks_of(
    path: Path, tensors: dict[str, Tensor], architecture: Model, data: ImageSet
) -> Iterator[tuple[str, nn.Module]]:
    """(name, network) for each network whose tensors a file holds, checked against the architecture."""
    channels, height, width = data.shape
    agents = {name.split("/", 1)[0] for name in tensors if "/network/" in name}
    for agent in sorted(agents, key=int) or [None]:
        prefix = "" if agent is None else f"{agent}/network/"
        state = {
            name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)
        }
        state = plainly_named(state)
        network = architecture.build(channels, len(data.classes), (height, width))
        check_fits(path, state, network.state_dict())
        network.load_state_dict(state)
        yield (f"{path}" if agent is None else f"{path}, agent {agent}"), network.eval()


def plainly_named(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state without what wrappers put before all names, and without their count of averaged steps."""
    state = {name: tensor for name, tensor in state.items() if name != "n_averaged"}
    for prefix in ("module.", "_orig_mod.") * 2:
        if state and all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    return state


def read_state(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    try:
        with safe_open(path, framework="pt") as file:
            if "dimat" in (file.metadata() or {}):
                return read_tensors(path)[0]  # which knows its checksum
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: damaged, or no safetensors file ({error})") from None


def check_fits(path: Path, state: dict[str, Tensor], wanted: dict[str, Tensor]) -> None:
    """`InputError` that names the first tensor in which a file and the architecture differ."""
    for name, tensor in wanted.items():
        if name not in state:
            raise InputError(f"{path}: lacks {name!r}; it holds another architecture than --model says")
        if state[name].shape != tensor.shape:
            raise InputError(
                f"{path}: {name!r} has shape {tuple(state[name].shape)}; with this --model and --data, "
                f"expected {tuple(tensor.shape)}"
            )
        if not torch.isfinite(state[name]).all():
            raise InputError(f"{path}: {name!r} holds values that are not finite")
    for name in state:
        if name not in wanted:
            raise InputError(f"{path}: holds {name!r}, which the architecture of --model does not have")


def accuracy(network: nn.Module, data: ImageSet) -> float:
    """Share of right answers on the test images."""
    return scores_of(Classification(), network, data)["test_accuracy"]


def report(
    rows: list[tuple[str, float]],
    merged: Merged,
    lines_of: Mapping[str, Mapping[tuple[int, int], Barrier]],
    description: str,
) -> str:
    """Accuracies, the objective, and the mean height of barriers, as aligned lines."""
    lines = [(name, f"{100 * value:6.2f} %") for name, value in rows]
    count = len(merged.objective)
    matched = (("as merged", merged.objective), ("in place", merged.objective_in_place))
    for name, values in matched if count else ():
        lines.append((f"objective {name}, mean of {count} groups", f"{sum(values.values()) / count:6.3f}"))
    for kind, found in lines_of.items():
        mean = sum(line.height for line in found.values()) / len(found)
        lines.append((f"barrier {kind}, mean of {len(found)} pairs", f"{mean:6.3f}"))
    width = max(len(name) for name, _ in lines)
    return "\n".join([f"Test accuracy on {description}", *(f"{n:{width}}  {v}" for n, v in lines)])
