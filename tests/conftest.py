"""What several test files share."""

import copy
import os
import subprocess
import sys
from pathlib import Path

import numpy
import pytest
import torch
import yaml
from hypothesis import settings
from support.small import SMALL, command
from torch import nn

from dimat.agents.networks import Networks
from dimat.agents.training import Training
from dimat.cli import main as cli
from dimat.communication.in_process import InProcess
from dimat.data import DataFolders
from dimat.data.augmentation import Augmentation
from dimat.data.data_set import SEARCH_VARIABLE
from dimat.data.digits import Digits
from dimat.data.partitions import Iid
from dimat.models import Plain
from dimat.randomness import Randomness
from dimat.tasks import Classification
from dimat.tasks.images import ImageTask

# As in the driver; and several threads on a busy machine wait for each other.
torch.set_num_threads(1)

# Whole networks are built in an example, and the machine may be busy: no deadline for each of them.
settings.register_profile("short", deadline=None, max_examples=20)
settings.register_profile("long", deadline=None, max_examples=100)


def pytest_addoption(parser):
    parser.addoption("--long", action="store_true", help="accidents and studies with all cases")


def pytest_configure(config):
    settings.load_profile("long" if config.getoption("--long") else "short")


def pytest_collection_modifyitems(items):
    """Files that take minutes come first: at the end, one processor would be busy and the others idle."""
    slow = ("test_workflow.py", "test_ranks.py", "test_audit.py")
    items.sort(key=lambda item: item.path.name not in slow)


@pytest.fixture(scope="session", autouse=True)
def compiled(tmp_path_factory):
    """Commands that tests start share compiled code, also where the environment forbids to write any.

    Hundreds are started, and compiling all of dimat would be a third of the time of each.
    """
    shared = tmp_path_factory.getbasetemp()
    if os.environ.pop("PYTHONDONTWRITEBYTECODE", None):
        os.environ["PYTHONPYCACHEPREFIX"] = str(shared.parent / "compiled")


@pytest.fixture(scope="session", autouse=True)
def fork_server(compiled, tmp_path_factory):
    """Commands that tests start are forked, as in a study: each would take seconds for its imports."""
    if sys.platform != "linux":
        yield
        return
    folder = Path(__file__).parents[1] / "workflow" / "fork_server"
    place = str(tmp_path_factory.mktemp("fork_server") / "socket")
    os.environ |= {
        "PATH": os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]]),
        "OMP_NUM_THREADS": "1",
        "DIMAT_FORK_SERVER": f"{os.environ.get('SLURM_JOB_ID', '')}:1",
        "DIMAT_FORK_SOCKET": place,
    }
    with subprocess.Popen([sys.executable, folder / "server.py", place], stdin=subprocess.PIPE):
        yield


@pytest.fixture(scope="session")
def long(request):
    """Whether all cases are wanted (make test-faults) or a few dozen (make test)."""
    return request.config.getoption("--long")


@pytest.fixture(scope="session")
def digits():
    """The digits data set; tests must not change it."""
    return Digits().read(DataFolders((), None))


@pytest.fixture
def make_agents(digits):
    """Builds a few small networks on the digits, as the runner does."""

    def make(agents=4, seed=0, model=None, partition=None, augmentation=None, recorded=False, **training):
        options = Training(**training)
        labels = digits.train_labels.numpy()
        partition = partition or Iid()
        randomness = Randomness("test", seed)
        task = ImageTask(
            Classification(),
            model or Plain(widths=(4, 5)),
            digits,
            partition.shares(labels, agents, numpy.random.default_rng(seed)),
            augmentation or Augmentation(flip=False, crop=0),
            randomness,
            batch_size=options.batch_size,
            same_start=options.start == "same",
            precision=options.precision,
        )
        return Networks(task, options, randomness, recorded=recorded)

    return make


@pytest.fixture
def make_communicator():
    """Links between agents of a graph."""
    return lambda graph, agents: InProcess(graph.mixing_matrix(agents))


@pytest.fixture(scope="session")
def randomize():
    """Gives every parameter and running statistic of a network a random value, none of them special."""

    def fill(model: nn.Module, seed: int) -> nn.Module:
        generator = torch.Generator().manual_seed(seed)
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, generator=generator)
                if module.bias is not None:
                    nn.init.normal_(module.bias, generator=generator)
            elif isinstance(module, nn.BatchNorm2d):
                for name in ("weight", "bias", "running_mean", "running_var"):
                    if (tensor := getattr(module, name)) is not None:
                        centered = name in ("bias", "running_mean")
                        low, high = (-0.5, 0.5) if centered else (0.5, 2.0)
                        nn.init.uniform_(tensor, low, high, generator=generator)
        return model

    return fill


@pytest.fixture
def small():
    """A copy of the small configuration, free to be changed."""
    return copy.deepcopy(SMALL)


@pytest.fixture
def write_config(tmp_path):
    """Writes a configuration to a file."""

    def write(content, name="study.yaml"):
        path = tmp_path / name
        path.write_text(yaml.safe_dump(content))
        return path

    return write


@pytest.fixture
def dimat_process(tmp_path):
    """Runs ``dimat`` in ``tmp_path`` in a process of its own; returns it when it has ended."""

    def run(*arguments):
        environment = {name: value for name, value in os.environ.items() if name != SEARCH_VARIABLE}
        return subprocess.run(
            command(*arguments), cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture
def dimat(tmp_path, monkeypatch, capsys):
    """Runs ``dimat`` in ``tmp_path`` as `dimat_process` does, but in this process, which is ready at once."""
    monkeypatch.delenv(SEARCH_VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["dimat", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(sys.argv, ended.value.code or 0, out, err)

    return run
