"""Turned images: quarter turns move pixels, others agree with the turn of a smooth function."""

import math

import pytest
import torch

from dimat.data.rotation import turned


@pytest.mark.parametrize("turns", range(-3, 5))
def test_quarter_turns_only_move_pixels(turns):
    images = torch.randint(256, (3, 2, 7, 7), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(turned(images, 90.0 * turns), torch.rot90(images, turns, (2, 3)))


@pytest.mark.parametrize("degrees", [30.0, -75.0, 140.0])
@pytest.mark.parametrize("size", [(32, 32), (24, 40)])
def test_a_smooth_image_is_turned_counter_clockwise_about_its_centre(degrees, size):
    height, width = size
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    y, x = (height - 1) / 2 - rows, columns - (width - 1) / 2  # upwards, and to the right

    def blob(x, y):
        return 250 * torch.exp(-((x - 5) ** 2 + (y - 2) ** 2) / 18)

    angle = math.radians(degrees)
    back = x * math.cos(angle) + y * math.sin(angle), y * math.cos(angle) - x * math.sin(angle)
    image = blob(x, y).round().to(torch.uint8)
    found = turned(image[None, None], degrees)[0, 0]
    assert (found.double() - blob(*back).double()).abs().max() < 6
    assert (found.double() - image.double()).abs().max() > 60


def test_what_was_outside_is_black_and_the_images_stay():
    images = torch.full((2, 1, 8, 8), 200, dtype=torch.uint8)
    found = turned(images, 45.0)
    assert found[:, 0, 0, 0].tolist() == [0, 0]
    assert found[0, 0, 4, 4] == 200
    assert bool((images == 200).all())


def test_parts_are_turned_as_the_whole_is(monkeypatch):
    images = torch.randint(256, (5, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    whole = turned(images, 20.0)
    monkeypatch.setattr("dimat.data.rotation.TURNED", 2)
    assert torch.equal(turned(images, 20.0), whole)
