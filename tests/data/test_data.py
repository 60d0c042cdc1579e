"""Data sets: reading, checking, resizing, limiting, augmenting."""

import json
import os
import pickle
import random
import shutil
import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path, PurePosixPath

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.pictures import assert_refused, fill, folders, picture, read, zipped

from dimat.data import DataFolders, ImageSet
from dimat.data.augmentation import Augmentation
from dimat.data.cifar import Cifar10, Cifar100
from dimat.data.data_set import SEARCH_VARIABLE
from dimat.data.digits import Digits
from dimat.data.folder import Folder
from dimat.data.image_set import first_of_each_class
from dimat.data.tiny_imagenet import TinyImageNet


def assert_same_images(one, other):
    for name in ("train_images", "train_labels", "test_images", "test_labels"):
        assert torch.equal(getattr(one, name), getattr(other, name)), name
    assert one.classes == other.classes


# Digits.


def test_digits_are_all_scans_in_a_stratified_split(digits):
    from sklearn.datasets import load_digits

    assert (len(digits.train_labels), len(digits.test_labels)) == (1437, 360)
    assert digits.shape == (1, 8, 8)
    scans = torch.cat([digits.train_images, digits.test_images])[:, 0]
    original = torch.from_numpy(load_digits().images * 15).to(torch.uint8)
    as_rows = [sorted(map(tuple, images.flatten(1).tolist())) for images in (scans, original)]
    assert as_rows[0] == as_rows[1]
    shares = torch.bincount(digits.test_labels) / torch.bincount(digits.train_labels)
    assert (shares - 360 / 1437).abs().max() < 0.01


def test_digits_are_the_same_whenever_they_are_read(digits):
    numpy.random.seed(1)
    again = Digits().read(folders())
    assert again.fingerprint() == digits.fingerprint()


def test_labels_belong_to_their_scans(digits):
    from sklearn.datasets import load_digits

    source = load_digits()
    labels = {
        tuple(scan.flatten()): label for scan, label in zip(source.images * 15, source.target, strict=True)
    }
    for scan, label in zip(digits.train_images, digits.train_labels.tolist(), strict=True):
        assert labels[tuple(scan.flatten().tolist())] == label


def test_statistics_equal_those_of_numpy(digits, tmp_path):
    for images in (digits, read(fill(tmp_path / "images"))):
        pixels = images.train_images.numpy().astype(float) / 255
        mean, deviation = images.statistics()
        numpy.testing.assert_allclose(mean.numpy(), pixels.mean((0, 2, 3)), rtol=1e-6)
        numpy.testing.assert_allclose(deviation.numpy(), pixels.std((0, 2, 3)), rtol=1e-6)


def test_normalized_images_have_mean_0_and_deviation_1(digits):
    pixels = digits.normalized(digits.train_images)
    assert float(pixels.mean()) == pytest.approx(0, abs=1e-4)
    assert float(pixels.std()) == pytest.approx(1, abs=1e-4)


# Folders and zips.


def test_folder_and_zip_hold_the_same_images(tmp_path):
    root = fill(tmp_path / "images")
    images = read(root)
    assert images.classes == ("ant", "bee", "cat")
    assert images.title == "images"
    assert images.train_labels.tolist() == [0] * 3 + [1] * 4 + [2] * 2
    assert images.test_labels.tolist() == [0] * 2 + [1] + [2] * 2
    with Image.open(root / "train" / "bee" / "2.png") as image:
        expected = numpy.asarray(image).transpose(2, 0, 1)
    assert images.train_images[5].numpy().tolist() == expected.tolist()
    assert_same_images(images, read(zipped(root)))
    assert_same_images(images, read(zipped(root, top="images/")))
    top = tmp_path / "above"
    top.mkdir()
    shutil.move(root, top / "images")
    assert_same_images(images, read(top))


def test_a_name_is_looked_for_in_the_search_path(tmp_path, monkeypatch):
    root = fill(tmp_path / "second" / "images")
    monkeypatch.setenv(SEARCH_VARIABLE, os.pathsep.join([str(tmp_path / "first"), str(tmp_path / "second")]))
    found = Folder(path="images").read(DataFolders.from_environment(tmp_path / "downloads"))
    assert_same_images(found, read(root))


def test_grey_images_and_images_with_a_palette_become_colour(tmp_path):
    root = fill(tmp_path / "images")
    picture(1).convert("L").save(root / "train" / "ant" / "0.png")
    picture(2).convert("P").save(root / "train" / "ant" / "1.png")
    assert read(root).shape == (3, 8, 8)


def test_images_are_resized_antialiased(tmp_path):
    root = fill(tmp_path / "images", width=16, height=16)
    whole, half = read(root), read(root, size=8)
    assert half.shape == (3, 8, 8)
    means = whole.train_images.float().unflatten(3, (8, 2)).unflatten(2, (8, 2)).mean((3, 5))
    assert (half.train_images.float() - means).abs().max() <= 1  # the mean of each 2x2 pixels, rounded


def test_images_of_different_sizes_need_a_size(tmp_path):
    root = fill(tmp_path / "images")
    picture(0, width=9).save(root / "test" / "bee" / "0.png")
    (root / "train" / "cat" / "9.png").write_bytes((root / "test" / "bee" / "0.png").read_bytes())
    assert_refused(lambda: read(root), "train/cat/9.png", "9x8", "data.size")
    assert read(root, size=8).shape == (3, 8, 8)


def test_images_of_other_size_in_test_need_a_size(tmp_path):
    root = fill(tmp_path / "images")
    for file in root.glob("test/*/*.png"):
        picture(0, width=9).save(file)
    assert_refused(lambda: read(root), "data.size")


def test_limits_take_the_first_of_every_class(tmp_path):
    root = fill(tmp_path / "images")
    whole, limited = read(root), read(root, train_limit=5, test_limit=3)
    assert limited.train_labels.tolist() == [0, 0, 1, 1, 2]
    assert torch.equal(limited.train_images, whole.train_images[[0, 1, 3, 4, 7]])
    assert torch.equal(limited.test_images, whole.test_images[[0, 2, 3]])
    assert limited.classes == whole.classes


@pytest.mark.parametrize(("limit", "word"), [(2, "3 (classes)"), (10, "9 (images)"), (9, "class 2")])
def test_limits_that_cannot_be_met_are_refused(limit, word):
    labels = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1, 2])
    assert_refused(
        lambda: first_of_each_class(labels, limit, "data.train_limit"), "data.train_limit", limit, word
    )


@given(st.lists(st.integers(3, 9), min_size=1, max_size=5), st.integers(0, 9))
def test_first_of_each_class_in_any_order(sizes, seed):
    labels = torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes))
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]
    total = 2 * len(sizes) + 1
    found = first_of_each_class(labels, total, "limit").tolist()
    assert len(found) == total
    assert found == sorted(found)
    for label in range(len(sizes)):
        own = [index for index in found if labels[index] == label]
        assert own == (labels == label).nonzero().flatten().tolist()[: 3 if label == 0 else 2]


def test_a_missing_path_is_refused(tmp_path):
    wanted = Folder(path="nowhere.zip")
    assert_refused(
        lambda: wanted.read(folders(tmp_path)), "data.path", "nowhere.zip", tmp_path, SEARCH_VARIABLE
    )


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("form", ["folder", "zip"])
def test_a_class_without_image_is_refused(tmp_path, split, form):
    root = fill(tmp_path / "images")
    for file in (root / split / "bee").iterdir():
        file.unlink()
    path = root if form == "folder" else zipped(root)
    assert_refused(lambda: read(path), path, "bee", split)


def test_a_class_that_is_an_empty_folder_everywhere_is_refused(tmp_path):
    root = fill(tmp_path / "images")
    (root / "train" / "dog").mkdir()
    assert_refused(lambda: read(root), root, "dog")


def test_a_folder_without_the_expected_layout_is_refused(tmp_path):
    assert_refused(lambda: read(tmp_path), tmp_path, "train/<class>")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.95])
def test_a_truncated_zip_is_refused(tmp_path, share):
    path = zipped(fill(tmp_path / "images"))
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert_refused(lambda: read(path), path)


@pytest.mark.parametrize("ending", ["png", "jpg", "gif", "bmp", "webp"])
@pytest.mark.parametrize("share", [0.0, 0.4])
@pytest.mark.parametrize("form", ["folder", "zip"])
def test_a_truncated_image_is_refused_by_name(tmp_path, ending, share, form):
    root = fill(tmp_path / "images", ending, width=40, height=40)
    damaged = root / "train" / "bee" / f"1.{ending}"
    content = damaged.read_bytes()
    damaged.write_bytes(content[: int(share * len(content))])
    path = root if form == "folder" else zipped(root)
    assert_refused(lambda: read(path), path, f"train/bee/1.{ending}")


def test_a_flipped_byte_in_a_zip_is_refused(tmp_path):
    path = zipped(fill(tmp_path / "images", "bmp"))  # BMP: only the zip's own checksum can notice
    content = bytearray(path.read_bytes())
    content[content.index(b"BM") + 100] ^= 1
    path.write_bytes(content)
    assert_refused(lambda: read(path), path)


def test_an_encrypted_zip_is_refused(tmp_path):
    path = zipped(fill(tmp_path / "images"))
    content = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # the bit that says: encrypted
        position = content.find(signature)
        while position >= 0:
            content[position + flags] |= 1
            position = content.find(signature, position + 1)
    path.write_bytes(content)
    assert_refused(lambda: read(path), path)


def test_a_file_that_is_no_zip_is_refused(tmp_path):
    path = tmp_path / "images.zip"
    path.write_text("not a zip")
    assert_refused(lambda: read(path), path)


# Tiny ImageNet.


@pytest.fixture
def official_tiny_imagenet(tmp_path):
    """The layout of the official archive, with three classes."""
    root = tmp_path / "tiny-imagenet-200"
    listing = []
    for seed, label in enumerate(("n01443537", "n01629819", "n01641577")):
        own = root / "train" / label
        (own / "images").mkdir(parents=True)
        (own / f"{label}_boxes.txt").write_text(f"{label}_0.JPEG\t0\t0\t63\t63\n")
        for number in range(3):
            picture((seed, number), 64, 64).save(own / "images" / f"{label}_{number}.JPEG")
        listing.append((f"val_{2 - seed}.JPEG", label))
    (root / "val" / "images").mkdir(parents=True)
    for image, _ in listing:
        picture(int(image[4]), 64, 64).save(root / "val" / "images" / image)
    lines = [f"{image}\t{label}\t0\t32\t44\t62\n" for image, label in listing]
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    (root / "test" / "images").mkdir(parents=True)
    picture(9, 64, 64).save(root / "test" / "images" / "test_0.JPEG")  # unlabelled, not to be read
    return root


@pytest.mark.parametrize("form", ["folder", "zip"])
def test_tiny_imagenet_takes_its_validation_images_for_testing(official_tiny_imagenet, form):
    root = official_tiny_imagenet
    if form == "zip":
        zipped(root, top="tiny-imagenet-200/")
        shutil.rmtree(root)
    images = TinyImageNet().prepared(folders(root.parent))
    assert images.classes == ("n01443537", "n01629819", "n01641577")
    assert images.train_labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert images.test_labels.tolist() == [0, 1, 2]
    assert images.shape == (3, 64, 64)
    # The listing gives the first class val_2.JPEG, which is picture 2 up to JPEG's losses.
    expected = torch.from_numpy(numpy.asarray(picture(2, 64, 64)).transpose(2, 0, 1).copy()).float()
    errors = (images.test_images.float() - expected).abs().mean((1, 2, 3))
    assert int(errors.argmin()) == 0


def test_tiny_imagenet_without_an_image_of_the_listing_is_refused(official_tiny_imagenet):
    (official_tiny_imagenet / "val" / "images" / "val_1.JPEG").unlink()
    data = TinyImageNet()
    assert_refused(
        lambda: data.read(folders(official_tiny_imagenet.parent)), "val_annotations.txt", "val_1.JPEG"
    )


def test_tiny_imagenet_without_its_listing_is_refused(official_tiny_imagenet):
    (official_tiny_imagenet / "val" / "val_annotations.txt").unlink()
    data = TinyImageNet()
    assert_refused(lambda: data.read(folders(official_tiny_imagenet.parent)), "val_annotations.txt")


def test_tiny_imagenet_that_is_not_there_is_refused(tmp_path):
    data = TinyImageNet()
    assert_refused(lambda: data.read(folders(tmp_path)), "tiny-imagenet-200", tmp_path, SEARCH_VARIABLE)


# CIFAR.


def test_torchvision_data_sets_can_be_imported():
    """In a process of its own, because an import is only tried once."""
    code = (
        "from dimat.io.torchvision_import import torchvision_module as module;"
        "datasets = module('datasets'); assert module('datasets') is datasets; module('models').resnet18;"
        "print(datasets.CIFAR10.__name__, datasets.CIFAR100.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["CIFAR10", "CIFAR100"], done.stderr


@pytest.mark.parametrize(
    ("data", "folder"),
    [
        (Cifar10(), "cifar-10-batches-py"),
        (Cifar100(), "cifar-100-python"),
    ],
)
def test_damaged_official_cifar_is_refused(tmp_path, data, folder):
    official = tmp_path / folder
    official.mkdir()
    for name in ("data_batch_1", "train", "batches.meta"):
        (official / name).write_bytes(pickle.dumps({"data": []}))
    assert_refused(
        lambda: data.read(folders(tmp_path, downloads=tmp_path)), data.title, folder, SEARCH_VARIABLE
    )


def test_no_damaged_file_is_unpickled(tmp_path):
    """A pickle runs code when it is read; files whose checksum differs must not be."""
    trace = tmp_path / "trace"

    class Harmful:
        def __reduce__(self):
            return Path.touch, (trace,)

    official = tmp_path / "cifar-10-batches-py"
    official.mkdir()
    for name in [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta"]:
        (official / name).write_bytes(pickle.dumps(Harmful()))
    assert_refused(lambda: Cifar10().read(folders(tmp_path, downloads=tmp_path)), "CIFAR-10")
    assert not trace.exists()


@pytest.mark.parametrize(("ending", "title"), [("jpg", "CIFAR-10 (JPEG)"), ("png", "CIFAR-10 (mine.zip)")])
def test_a_substitute_is_named_in_the_title(tmp_path, ending, title):
    root = fill(tmp_path / "mine", ending, width=32, height=32)
    zipped(root)
    data = Cifar10(substitute="mine.zip", size=16)
    images = data.prepared(folders(tmp_path, downloads=tmp_path / "downloads"))
    assert images.title == title
    assert images.shape == (3, 16, 16)
    assert not (tmp_path / "downloads").exists()


SUBSTITUTE = Path(os.environ.get(SEARCH_VARIABLE, "")) / "cifar10-jpeg.zip"


def first_of_an_archive(path, most, folder):
    """The same archive with ``most`` images of each of its folders."""
    counted = Counter()
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(folder / path.name, "w") as shorter:
        for name in sorted(source.namelist()):
            counted[PurePosixPath(name).parent] += 1
            if counted[PurePosixPath(name).parent] <= most:
                shorter.writestr(name, source.read(name))
    return folder / path.name


@pytest.mark.skipif(
    not SUBSTITUTE.is_file(), reason=f"{SEARCH_VARIABLE} names no folder with cifar10-jpeg.zip"
)
def test_real_cifar10_as_jpeg(tmp_path, long):
    data = Cifar10(substitute=SUBSTITUTE.name, size=8, train_limit=200)
    folder = SUBSTITUTE.parent if long else first_of_an_archive(SUBSTITUTE, 25, tmp_path).parent
    images = data.prepared(folders(folder, downloads=tmp_path / "downloads"))
    assert images.title == "CIFAR-10 (JPEG)"
    assert images.shape == (3, 8, 8)
    assert torch.bincount(images.train_labels).tolist() == [20] * 10
    assert torch.bincount(images.test_labels).tolist() == [1000 if long else 25] * 10
    # The mean colour of all of CIFAR-10 is known; 200 images come near it.
    assert images.statistics()[0].tolist() == pytest.approx([0.4914, 0.4822, 0.4465], abs=0.03)


# Prepared data sets.


@pytest.fixture
def prepared(tmp_path):
    images = read(fill(tmp_path / "images"))
    path = tmp_path / "prepared.safetensors"
    images.save(path)
    return path, images


def test_a_prepared_data_set_is_read_back(prepared):
    path, images = prepared
    loaded = ImageSet.load(path)
    assert_same_images(loaded, images)
    assert (loaded.title, loaded.source) == (images.title, json.loads(json.dumps(images.source)))
    assert loaded.fingerprint() == images.fingerprint()


def test_the_same_data_give_the_same_file(prepared, tmp_path):
    """Bit by bit, every time: whoever compares files must not see a difference that is none."""
    path, images = prepared
    for _ in range(10):
        images.save(tmp_path / "again" / path.name)
        assert (tmp_path / "again" / path.name).read_bytes() == path.read_bytes()


def test_any_flipped_bit_of_a_prepared_data_set_is_noticed(prepared):
    path, _ = prepared
    content = path.read_bytes()
    generator = random.Random(0)
    for position in [0, 7, 8, len(content) - 1, *(generator.randrange(len(content)) for _ in range(150))]:
        damaged = bytearray(content)
        damaged[position] ^= 1 << generator.randrange(8)
        path.write_bytes(damaged)
        assert_refused(lambda: ImageSet.load(path), path, "delete it")


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_a_truncated_prepared_data_set_is_refused(prepared, share):
    path, _ = prepared
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert_refused(lambda: ImageSet.load(path), path, "delete it")


def test_the_fingerprint_notices_every_change(prepared):
    _, images = prepared
    before = images.fingerprint()
    images.test_labels[0] = 2
    changed = images.fingerprint()
    images.train_images[0, 0, 0, 0] ^= 1
    assert len({before, changed, images.fingerprint()}) == 3


def test_a_class_without_image_in_memory_is_refused(digits):
    keep = digits.test_labels != 3
    parts = (digits.train_images, digits.train_labels, digits.test_images[keep], digits.test_labels[keep])
    assert_refused(lambda: ImageSet("digits", digits.classes, *parts), "'3'", "test")


# Augmentation.


def augmented_slowly(image, draw, crop):
    """Pad with black, crop, flip: one pixel at a time."""
    flipped, top, left = draw.tolist()
    channels, height, width = image.shape
    result = torch.zeros_like(image)
    for channel in range(channels):
        for row in range(height):
            for column in range(width):
                y = row + top - crop
                x = (width - 1 - column if flipped else column) + left - crop
                if 0 <= y < height and 0 <= x < width:
                    result[channel, row, column] = image[channel, y, x]
    return result


def random_images(count, channels=3, height=6, width=5):
    generator = torch.Generator().manual_seed(0)
    shape = (count, channels, height, width)
    return torch.randint(1, 256, shape, generator=generator, dtype=torch.uint8)


@given(st.booleans(), st.integers(0, 4), st.integers(0, 99))
def test_augmentation_against_a_slow_reference(flip, crop, seed):
    images, augmentation = random_images(4), Augmentation(flip, crop)
    draws = augmentation.draw(4, torch.Generator().manual_seed(seed))
    found = augmentation.apply(images, draws)
    assert found.dtype == torch.uint8
    for image, draw, result in zip(images, draws, found, strict=True):
        assert torch.equal(result, augmented_slowly(image, draw, crop))


def test_draws_are_uniform_and_cover_all_crops():
    draws = Augmentation(flip=True, crop=2).draw(20_000, torch.Generator().manual_seed(0))
    for column, values in ((0, 2), (1, 5), (2, 5)):
        counts = torch.bincount(draws[:, column])
        assert len(counts) == values
        assert (counts / 20_000 - 1 / values).abs().max() < 0.02
    independent = torch.corrcoef(draws.T.double()) - torch.eye(3)
    assert independent.abs().max() < 0.03


def test_draws_are_fresh_but_reproducible():
    augmentation = Augmentation(flip=True, crop=4)
    generator = torch.Generator().manual_seed(0)
    first, second = augmentation.draw(50, generator), augmentation.draw(50, generator)
    assert not torch.equal(first, second)
    assert torch.equal(first, augmentation.draw(50, torch.Generator().manual_seed(0)))


def test_without_flip_and_crop_images_are_untouched():
    images, augmentation = random_images(4), Augmentation(flip=False, crop=0)
    assert torch.equal(augmentation.apply(images, augmentation.draw(4, torch.Generator())), images)
