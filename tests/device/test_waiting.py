"""How often the CPU waits for a device: not once a step, a batch or a link, where nothing asks for it."""

from unittest import mock

import pytest
import torch
from support.pretend_device import DEVICE, PretendDevice, pretend_device
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from dimat.communication.in_process import InProcess
from dimat.experiment.mean_model import mean_model_scores
from dimat.merging import merge as merging
from dimat.merging.averaging.coefficients import Entropy
from dimat.merging.averaging.options import Averaging
from dimat.merging.calibration.options import Calibration
from dimat.merging.matching import assignment
from dimat.merging.matching.options import Matching
from dimat.merging.options import Merging
from dimat.methods import known_methods, projection
from dimat.models import ResNet20, tracing
from dimat.topology import Complete, DirectedRing, Ring

EVERY_STEP = [name for name, kind in known_methods.items() if kind.communicates == "step"]
DRAWING = {"matcha", "epidemic", "sparta", "wash", "teleportation"}
READING = {"swarm_sgd", "teleportation"}
"""These read once a round how many steps were taken, or who holds which model."""
ONE_COPY_A_STEP = {"cga"}
"""How long a projection takes depends on its numbers: those few are solved for on the CPU."""


def counted(device: PretendDevice, action) -> tuple[int, int]:
    """How often the CPU waits in ``action``, and how often it sends something."""
    device.counted.clear()
    action()
    return device.waits, device.counted["sent"]


@pytest.mark.parametrize("batch_size", [15, 5])
@pytest.mark.parametrize("epochs", [1, 3])
def test_local_training_waits_once_an_agent_however_many_steps_it_takes(
    device, agents_on, batch_size, epochs
):
    agents = agents_on(DEVICE, batch_size=batch_size, epochs=epochs)
    waits, sent = counted(device, lambda: agents.train(1))
    assert waits == agents.agents  # whether all is finite
    assert sent == 2 * epochs * agents.agents  # in which order images come, and how they are augmented


@pytest.mark.parametrize("batch_size", [15, 5])
def test_pretraining_waits_once_an_agent(device, agents_on, batch_size):
    agents = agents_on(DEVICE, batch_size=batch_size)
    waits, sent = counted(device, lambda: agents.pretrain(0))
    assert (waits, sent) == (agents.agents, 2 * agents.agents)


@pytest.mark.parametrize("name", EVERY_STEP)
def test_steps_of_all_agents_wait_for_nothing(device, agents_on, name):
    """But for CGA's, each of which waits once."""
    method = known_methods[name]()
    found = {}
    for epochs in (1, 4):
        agents = agents_on(DEVICE, agents=4, epochs=epochs)
        graph = DirectedRing() if name == "sgp" else Ring()
        communicator = InProcess(graph.mixing_matrix(4))
        agents.state.declare(method.keeps)
        method.learn(agents, communicator, 1)  # what is the same at every step is sent by now
        found[epochs], sent = counted(device, lambda: method.learn(agents, communicator, 2))  # noqa: B023
        steps = epochs * agents.steps_per_epoch
        assert steps >= 3 * epochs
        changing = name in DRAWING  # links, and so the matrix; or which entries are sent
        solved = name in ONE_COPY_A_STEP
        most_batches = 2 * agents.agents * (epochs + 1)
        assert sent <= most_batches + (changing + solved) * steps + (name in READING)
        if name in ONE_COPY_A_STEP:
            assert found[epochs] == steps
        else:
            assert found[epochs] == (name in READING)


@pytest.mark.parametrize("options", [{}, {"per_layer": True}, {"compressed": True, "scales": "layer"}])
def test_a_step_of_cga_waits_once_for_all_agents_layers_and_sweeps(device, agents_on, options, monkeypatch):
    monkeypatch.setattr(projection, "SWEEPS", 5)
    agents, communicator = agents_on(DEVICE, agents=6, epochs=1), InProcess(Complete().mixing_matrix(6))
    method = known_methods["cga"](**options)
    waits, _ = counted(device, lambda: method.learn(agents, communicator, 1))
    assert waits == agents.steps_per_epoch
    assert device.counted["waiting to send"] == 0


@pytest.mark.parametrize("size", [30, 7])
def test_evaluation_waits_once_a_network(device, agents_on, size, monkeypatch):
    agents = agents_on(DEVICE)
    monkeypatch.setattr("dimat.tasks.images.EVALUATED", size)
    assert counted(device, lambda: agents.evaluate(1)) == (1, 0)
    assert counted(device, lambda: agents.training_loss(1)) == (1, 0)
    agents.part_scores(0)  # what is the same for all networks is sent by now
    assert counted(device, lambda: agents.part_scores(1)) == (1, 0)


@pytest.mark.parametrize("repair", ["none", "recalibrate", "repair"])
def test_the_mean_of_all_networks_waits_once(device, agents_on, repair):
    agents, communicator = agents_on(DEVICE), InProcess(Ring().mixing_matrix(3))
    calibration = Calibration(limit=20, repair=repair)
    waits, _ = counted(device, lambda: mean_model_scores(agents, communicator, calibration, 1))
    assert waits == 1


GRAPHS = {"ring of 5": (Ring(), 5), "complete 6": (Complete(), 6)}
ONCE_A_MERGE = 4
"""Distances before and after, and what matching has gained, of all links and groups at once; the drift."""


def merged(device, agents, graph, matching, calibration, averaging=None):
    communicator = InProcess(graph.mixing_matrix(agents.agents))
    options = Merging(matching, calibration)
    return counted(
        device,
        lambda: merging.merge_with_neighbours(agents, communicator, options, averaging or Averaging(), 1),
    )


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("passes", [2, 3])
@pytest.mark.parametrize("alignment", ["per_edge", "consistent"])
def test_a_merge_waits_once_a_group_whatever_the_graph_and_the_batches(
    device, agents_on, graph, passes, alignment
):
    graph, agents = GRAPHS[graph]
    for batch_size in (30, 10):
        networks = agents_on(DEVICE, agents=agents, batch_size=batch_size)
        groups = networks.symmetry
        matching = Matching(passes=passes, alignment=alignment)
        waits, sent = merged(device, networks, graph, matching, Calibration(limit=30, augmented=True))
        assert waits <= len(groups) + ONCE_A_MERGE
        # Permutations are sent, one of each group and link, a few times; images' numbers once a pass.
        links = len(InProcess(graph.mixing_matrix(agents)).edges())
        assert sent <= 8 * links * len(groups) + 4 * (agents + 1)


@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("repair", ["none", "recalibrate", "repair", "rescale", "least_squares"])
def test_a_merge_without_matching_waits_for_nothing(device, agents_on, graph, repair):
    graph, agents = GRAPHS[graph]
    networks = agents_on(DEVICE, agents=agents)
    waits, _ = merged(device, networks, graph, None, Calibration(limit=30, repair=repair, images="own"))
    assert waits == 0


def test_tuned_coefficients_wait_for_nothing(device, agents_on):
    networks = agents_on(DEVICE)
    averaging = Averaging(Entropy(steps=7))
    assert merged(device, networks, Ring(), None, Calibration(repair="none"), averaging)[0] == 0


@pytest.mark.parametrize("matcher", ["weight", "activation-weight"])
@pytest.mark.parametrize("alignment", ["per_edge", "consistent"])
def test_matching_by_weights_waits_once_an_assignment(device, agents_on, matcher, alignment):
    """Each depends on those before it. Norms are read once a link, and again if a common frame is found."""
    networks = agents_on(DEVICE, agents=5)
    matching = Matching(matcher={"name": matcher}, alignment=alignment)
    groups = len(networks.symmetry)  # found and tried once, before all merges
    with mock.patch.object(assignment, "best_permutation", wraps=assignment.best_permutation) as found:
        waits, _ = merged(device, networks, Ring(), matching, Calibration(limit=30))
    norms = 5 * (1 + (alignment == "consistent"))
    assert waits <= found.call_count + norms + (matcher != "weight") * groups + ONCE_A_MERGE


def test_networks_of_one_structure_are_traced_once(device, agents_on):
    """In training and in evaluation mode, however many merges, agents and repairs there are."""
    networks = agents_on(DEVICE, agents=3)
    tracing._graphs.clear()
    with mock.patch.object(tracing.fx, "Tracer", wraps=tracing.fx.Tracer) as tracer:
        for repair in ("recalibrate", "repair"):
            for _ in range(2):
                merged(device, networks, Ring(), Matching(), Calibration(limit=20, repair=repair))
        assert tracer.call_count <= 2
        before = tracer.call_count
        other = agents_on(DEVICE, agents=2, model=ResNet20(width=1), images=12)
        merged(device, other, Complete(), Matching(), Calibration(limit=10, repair="rescale"))
        assert before < tracer.call_count <= before + 2


class Held(TorchDispatchMode):
    """The largest tensor in double precision that is made."""

    largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        found = func(*args, **(kwargs or {}))
        made = [leaf for leaf in tree_leaves(found) if isinstance(leaf, Tensor)]
        sizes = [each.numel() for each in made if each.dtype == torch.float64]
        self.largest = max([self.largest, *sizes])
        return found


@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_projections_hold_few_entries_in_double_precision(monkeypatch, margin):
    generator = torch.Generator().manual_seed(0)
    gradients = torch.randn(4, 1000, generator=generator)
    constraints = [[row, *torch.randn(3, 1000, generator=generator)] for row in gradients]
    whole, held = Held(), Held()
    with whole:
        expected = projection.project(gradients, constraints, margin)
    assert whole.largest == 4 * 4 * 1000
    monkeypatch.setattr(projection, "CHUNK", 999)
    with held:
        found = projection.project(gradients, constraints, margin)
    assert held.largest <= 999
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_low_precision_is_asked_for_in_one_place(agents_on):
    asked = []
    with (
        pretend_device(),
        mock.patch(
            "dimat.arithmetic.autocast",
            lambda *given, **named: asked.append((*given, named)) or mock.MagicMock(),
        ),
    ):
        for precision in ("float32", "bfloat16"):
            agents = agents_on(DEVICE, agents=2, precision=precision, epochs=1)
            agents.train(1)
            agents.evaluate(0)
    kinds = [each for position, each in enumerate(asked) if each not in asked[:position]]
    assert kinds == [
        ("meta", torch.bfloat16, {"enabled": low, "cache_enabled": False}) for low in (False, True)
    ]
