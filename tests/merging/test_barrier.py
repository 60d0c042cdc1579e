"""The loss between networks: against lines that are known, and between networks that are one another."""

import copy

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as some
from torch import nn
from torch.nn import functional

import dimat
from dimat.merging.given import NotUsable
from dimat.models.symmetry import permute


class Constant(nn.Module):
    """Puts out its weight, whatever it sees."""

    def __init__(self, value):
        super().__init__()
        self.value = nn.Parameter(torch.tensor([float(value)]))

    def forward(self, images):
        return self.value.expand(len(images), 1)


def double_well(outputs, labels):
    """(x^2 - 1)^2, with minima of height 0 at -1 and 1."""
    return (outputs.square() - 1).square().mean()


PIXELS = torch.randn(60, 2, 6, 6, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(60) % 4


def test_between_the_two_wells_is_a_barrier_of_height_one():
    options = {"matcher": None, "loss": double_well, "points": 5}
    found = dimat.barrier([Constant(-1), Constant(1)], (PIXELS, LABELS.double()), **options)[0, 1]
    assert found.positions == (0, 0.25, 0.5, 0.75, 1)
    assert found.losses == pytest.approx([(x**2 - 1) ** 2 for x in (-1, -0.5, 0, 0.5, 1)])
    assert found.height == pytest.approx(1)
    assert found.accuracies == ()  # of labels that are no classes


@given(some.floats(-3, 3), some.floats(-3, 3))
def test_a_convex_loss_has_no_barrier(one, other):
    options = {"matcher": None, "loss": lambda outputs, labels: outputs.square().mean()}
    found = dimat.barrier([Constant(one), Constant(other)], (PIXELS, LABELS), **options)[0, 1]
    assert found.height == pytest.approx(0, abs=1e-5)


def test_height_is_above_the_line_between_unequal_ends():
    assert dimat.Barrier((0, 0.5, 1), (1, 4, 3)).height == 2
    assert dimat.Barrier((0, 0.5, 1), (1, 1, 3)).height == 0


def network():
    return nn.Sequential(
        nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Flatten(), nn.Linear(96, 5), nn.ReLU(),
        nn.Linear(5, 4),
    )  # fmt: skip


@pytest.fixture
def twins():
    """A network, and the same with its neurons in another order."""
    torch.manual_seed(0)
    model = network().eval()
    groups = dimat.merge([model, model], PIXELS).groups
    generator = torch.Generator().manual_seed(1)
    orders = {group.name: torch.randperm(group.size, generator=generator) for group in groups}
    other = copy.deepcopy(model)
    other.load_state_dict(permute(model.state_dict(), groups, orders))
    return model, other


@pytest.mark.parametrize("repair", ["none", "recalibrate"])
def test_matching_takes_away_the_barrier_between_shuffled_copies(twins, repair):
    before = [copy.deepcopy(each.state_dict()) for each in twins]
    apart = dimat.barrier(twins, (PIXELS, LABELS), matcher=None, repair=repair)[0, 1]
    together = dimat.barrier(twins, (PIXELS, LABELS), matcher="weight", repair=repair)[0, 1]
    assert (
        apart.losses[0] == pytest.approx(apart.losses[-1])
        and len(set(map(round, apart.losses, [5] * 11))) > 5
    )
    assert together.losses == pytest.approx([apart.losses[0]] * 11, rel=1e-5)
    assert together.accuracies == pytest.approx([apart.accuracies[0]] * 11)
    for each, state in zip(twins, before, strict=True):
        assert all(torch.equal(tensor, state[name]) for name, tensor in each.state_dict().items())


def test_every_point_is_scored_as_by_hand():
    torch.manual_seed(3)
    models = [network().eval() for _ in range(3)]
    found = dimat.barrier(models, (PIXELS, LABELS), matcher=None, points=3, batch_size=7)
    assert list(found) == [(0, 1), (0, 2), (1, 2)]
    for (i, j), line in found.items():
        middle = dimat.merge([models[i], models[j]], PIXELS, matcher=None, repair="none").model
        for model, loss, accuracy in zip(
            (models[i], middle, models[j]), line.losses, line.accuracies, strict=True
        ):
            with torch.no_grad():
                outputs = model(PIXELS)
            assert loss == pytest.approx(float(functional.cross_entropy(outputs, LABELS)), rel=1e-5)
            assert accuracy == pytest.approx(float((outputs.argmax(1) == LABELS).float().mean()))


def test_normalization_is_recalibrated_at_each_point():
    torch.manual_seed(3)
    models = [network().eval() for _ in range(2)]
    options = {"matcher": None, "images": PIXELS[:40], "repair": "recalibrate", "points": 5}
    line = dimat.barrier(models, (PIXELS[40:], LABELS[40:]), **options)[0, 1]
    for share, loss in zip(line.positions, line.losses, strict=True):
        merged = dimat.merge(models, PIXELS[:40], weights=[1 - share, share], matcher=None)
        with torch.no_grad():
            outputs = merged.model.eval()(PIXELS[40:])
        assert loss == pytest.approx(float(functional.cross_entropy(outputs, LABELS[40:])), rel=1e-5)


def test_labelled_images_come_as_loaders_have_them(twins):
    expected = dimat.barrier(twins, (PIXELS, LABELS), points=3)
    batches = list(zip(PIXELS.split(30), LABELS.split(30), strict=True))
    for labelled in (
        (PIXELS.numpy(), LABELS.numpy()),
        [PIXELS, LABELS],
        batches,
        [{"image": images, "label": labels} for images, labels in batches],
        [{"pixel_values": images.numpy(), "y": labels.numpy()} for images, labels in batches],
        [*batches, (PIXELS[:0], LABELS[:0])],
        torch.utils.data.DataLoader(torch.utils.data.TensorDataset(PIXELS, LABELS), batch_size=30),
    ):
        found = dimat.barrier(twins, labelled, points=3, batch_size=30)
        assert found[0, 1].losses == pytest.approx(expected[0, 1].losses, rel=1e-4)


@pytest.mark.parametrize(
    ("labelled", "options", "message"),
    [
        (PIXELS, {}, "labelled: of type Tensor, which has no labels; expected a pair"),
        ([PIXELS], {}, "labelled: a batch without labels; expected images and labels"),
        ([{"image": PIXELS}], {}, "labelled: a batch without labels; expected"),
        ((PIXELS, LABELS[:3]), {}, "labelled: 3 labels for 60 images; expected one for each"),
        (iter([(PIXELS, LABELS)]), {}, "labelled: can be gone through only once"),
        ([], {}, "labelled: no images; expected one or more"),
        ((PIXELS, LABELS), {"points": 1}, "points: 1; expected 2 or more"),
        ((PIXELS, LABELS), {"matcher": "telepathy"}, "matcher"),
        ((PIXELS, LABELS), {"repair": "glue"}, "repair"),
    ],
)
def test_mistakes_are_named(twins, labelled, options, message):
    with pytest.raises(ValueError, match=message):
        dimat.barrier(twins, labelled, **options)


def test_a_line_has_two_ends(twins):
    with pytest.raises(NotUsable, match="models: 1; expected two or more"):
        dimat.barrier(twins[:1], (PIXELS, LABELS))


def test_labels_that_do_not_go_with_outputs_are_named(twins):
    wrong = numpy.zeros((60, 3), dtype=numpy.int64)
    with pytest.raises(
        NotUsable, match=r"labelled: the loss of outputs \(60, 4\) and labels \(60, 3\) ended"
    ):
        dimat.barrier(twins, [(PIXELS, wrong)], matcher=None)
    with pytest.raises(NotUsable, match="IndexError"):
        dimat.barrier(twins, (PIXELS, LABELS + 10), matcher=None)
