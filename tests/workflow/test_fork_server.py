"""Commands that a server forks behave as those that start by themselves: streams, codes, signals, end."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from support.small import SMALL

FOLDER = Path(__file__).parents[2] / "workflow" / "fork_server"
LONG = SMALL | {"training": {"pretrain_epochs": 1, "rounds": 10000, "epochs": 1, "batch_size": 25}}

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only there")


class Server:
    """A server, and clients of it."""

    def __init__(self, folder):
        self.folder = folder
        self.socket = folder / "socket"
        threads = {"OMP_NUM_THREADS": "1"}
        path = os.pathsep.join([str(FOLDER), str(Path(sys.executable).parent), os.environ["PATH"]])
        own = {"DIMAT_FORK_SERVER": f"{os.environ.get('SLURM_JOB_ID', '')}:1"}
        self.environment = os.environ | threads | own | {"PATH": path, "DIMAT_FORK_SOCKET": str(self.socket)}
        self.process = subprocess.Popen(
            [sys.executable, FOLDER / "server.py", self.socket], stdin=subprocess.PIPE, env=self.environment
        )
        self.clients = []
        wait_until(self.socket.exists)

    def client(self, *arguments, **options):
        """A command that asks for a process."""
        client = subprocess.Popen(
            ["dimat", *map(str, arguments)],
            cwd=self.folder,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            **{"env": self.environment} | options,
        )
        self.clients.append(client)
        return client

    def jobs(self):
        """The processes that it has forked."""
        return children(self.process.pid)

    def close(self):
        self.process.stdin.close()  # no harm if it is closed already
        self.process.wait(60)


def children(process):
    return [int(number) for number in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def wait_until(what, seconds=90):
    end = time.monotonic() + seconds
    while not (found := what()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return found


@pytest.fixture(scope="module")
def common(tmp_path_factory):
    """A server for tests that leave it as it is: it takes seconds until one has imported all."""
    server = Server(tmp_path_factory.mktemp("common"))
    yield server
    server.close()


@pytest.fixture
def server(common):
    yield common
    for client in common.clients:
        client.kill()
        client.wait()
    common.clients.clear()
    wait_until(lambda: not common.jobs())
    shutil.rmtree(common.folder / "results", ignore_errors=True)


@pytest.fixture
def own_server(tmp_path):
    """A server that may be lost."""
    server = Server(tmp_path)
    yield server
    server.close()


def write(server, study):
    path = server.folder / "study.yaml"
    path.write_text(yaml.safe_dump(study))
    return path


def begun(server, study=LONG):
    """A client whose training has begun, and its process."""
    path = write(server, study)
    for step in ("prepare", "partition", "pretrain"):
        assert server.client(step, path).wait(120) == 0
    client = server.client("train", path)
    checkpoints = server.folder / "results" / "shared" / "checkpoints"
    wait_until(lambda: checkpoints.exists() and any(checkpoints.iterdir()))
    (job,) = server.jobs()
    return client, job


def test_streams_folder_environment_and_codes_are_those_of_the_client(server):
    usual = {**server.environment, "DIMAT_FORK_SERVER": "none"}
    write(server, SMALL)
    write(server, SMALL | {"agents": 3}).rename(server.folder / "other.yaml")
    for arguments in (("ids", "other.yaml"), ("ids", "no.yaml"), ("--help",)):
        forked, plain = server.client(*arguments), server.client(*arguments, env=usual)
        assert forked.communicate() == plain.communicate()
        assert forked.returncode == plain.returncode
    assert not server.jobs()


def test_a_signal_is_passed_on_and_the_checkpoint_is_written(server):
    client, _ = begun(server)
    client.send_signal(signal.SIGTERM)
    assert client.wait(60) == 75
    assert "asked to leave" in client.communicate()[1]


def test_a_killed_client_ends_its_process(server):
    client, job = begun(server)
    client.kill()
    wait_until(lambda: not Path(f"/proc/{job}").exists())
    assert server.client("ids", "study.yaml").wait(60) == 0


def test_a_killed_server_leaves_no_process_behind(own_server):
    """As when a whole group of processes is killed, to which those that were forked do not belong."""
    client, job = begun(own_server)
    own_server.process.kill()
    wait_until(lambda: not Path(f"/proc/{job}").exists())
    assert client.wait(60) == 1
    assert "the server of processes is gone" in client.communicate()[1]


def test_a_killed_process_ends_its_client_alike(server):
    client, job = begun(server)
    os.kill(job, signal.SIGKILL)
    assert client.wait(60) == -signal.SIGKILL


def test_signals_of_a_terminal_reach_the_client_alone(server):
    client, job = begun(server)
    assert os.getpgid(job) not in (os.getpgid(server.process.pid), os.getpgid(client.pid))
    server.process.send_signal(signal.SIGINT)  # as of its group
    client.send_signal(signal.SIGINT)
    assert client.wait(60) == 75


def test_work_goes_on_when_the_server_is_not_wanted_any_more(own_server):
    study = LONG | {"training": LONG["training"] | {"rounds": 60}}
    client, _ = begun(own_server, study)
    own_server.process.stdin.close()
    wait_until(lambda: not own_server.socket.exists())
    assert client.wait(120) == 0
    assert own_server.process.wait(60) == 0


@pytest.mark.parametrize(
    "other", [{"OMP_NUM_THREADS": "2"}, {"SLURM_JOB_ID": "7"}, {"DIMAT_FORK_SOCKET": "no"}]
)
def test_other_threads_another_job_or_no_server_start_as_usual(server, other):
    path = write(server, SMALL)
    client = server.client("prepare", path, env=server.environment | other)
    assert client.wait(120) == 0
    write(server, LONG)
    for step in ("partition", "pretrain"):
        assert server.client(step, path).wait(120) == 0
    client = server.client("train", path, env=server.environment | other)
    checkpoints = server.folder / "results" / "shared" / "checkpoints"
    wait_until(lambda: checkpoints.exists() and any(checkpoints.iterdir()))
    assert not server.jobs()
    client.terminate()
    assert client.wait(60) == 75
