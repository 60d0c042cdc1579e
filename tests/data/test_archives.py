"""Zips that were made to do harm: refused in one line, with nothing extracted and nothing large decoded."""

import hashlib
import io
import stat
import zipfile

import numpy
import pytest
import torch
from PIL import Image
from support.pictures import assert_refused, fill, read, zipped

from dimat.data.memory import memory_limit
from dimat.data.folder_files import CHECKSUMS


@pytest.fixture
def archive(tmp_path):
    """A good zip of images, to which something may be added."""
    return zipped(fill(tmp_path / "images"))


def add(path, name, content=b"x", **attributes):
    member = zipfile.ZipInfo(name)
    for attribute, value in attributes.items():
        setattr(member, attribute, value)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(member, content, zipfile.ZIP_DEFLATED)


def black(width, height):
    content = io.BytesIO()
    Image.fromarray(numpy.zeros((height, width), dtype=numpy.uint8)).save(content, "PNG")
    return content.getvalue()


@pytest.mark.parametrize(
    "name", ["../escaped.png", "train/../../escaped.png", "/tmp/escaped.png", "train/ant/../../x/1.png"]
)
def test_a_path_that_leads_out(archive, name):
    add(archive, name)
    before = sorted(archive.parent.rglob("*"))
    assert_refused(lambda: read(archive), archive, name, "leads out")
    assert sorted(archive.parent.rglob("*")) == before


def test_a_link(archive):
    add(archive, "train/ant/9.png", b"/etc/passwd", external_attr=(stat.S_IFLNK | 0o777) << 16)
    assert_refused(lambda: read(archive), archive, "train/ant/9.png", "link")


def test_a_length_that_swallows_the_next_entry(archive):
    content = bytearray(archive.read_bytes())
    first = content.index(b"PK\x01\x02")
    second = content.index(b"PK\x01\x02", first + 4)
    third = content.index(b"PK\x01\x02", second + 4)
    content[first + 32 : first + 34] = (third - second).to_bytes(2, "little")  # of its comment
    archive.write_bytes(content)
    assert_refused(lambda: read(archive), archive, "directory")


def test_a_name_twice(archive):
    with pytest.warns(UserWarning, match="Duplicate"):
        add(archive, "train/ant/0.png")
    assert_refused(lambda: read(archive), archive, "two files of one name")


def test_a_file_that_declares_to_be_huge(archive):
    content = bytearray(archive.read_bytes())
    entry = content.index(b"PK\x01\x02")  # uncompressed size, in the archive's directory
    content[entry + 24 : entry + 28] = (2**31).to_bytes(4, "little")
    archive.write_bytes(content)
    assert_refused(lambda: read(archive), archive, "declares", "MiB")


def test_a_file_that_grows_beyond_all_measure(archive):
    add(archive, "notes.txt", bytes(50 * 2**20))
    assert archive.stat().st_size < 2**18
    assert_refused(lambda: read(archive), archive, "declares 50 MiB")


def test_a_file_that_is_larger_than_it_declares(archive):
    add(archive, "train/ant/9.bmp", bytes(2**20))
    content = bytearray(archive.read_bytes())
    entry = content.rindex(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = (100).to_bytes(4, "little")
    archive.write_bytes(content)
    assert_refused(lambda: read(archive), archive, "train/ant/9.bmp")


def test_an_image_of_too_many_pixels(archive):
    add(archive, "train/ant/9.png", black(10_000, 10_000))
    assert_refused(lambda: read(archive), archive, "train/ant/9.png", "pixels")


def test_images_that_do_not_fit_into_memory(tmp_path):
    path = tmp_path / "images.zip"
    image = black(2000, 2000)
    count = memory_limit() // (3 * 2000 * 2000) + 1
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(count):
            archive.writestr(f"train/ant/{number}.png", image)
        for name in ("train/bee/0.png", "test/ant/0.png", "test/bee/0.png"):
            archive.writestr(name, image)
    assert_refused(lambda: read(path), path, "2000x2000", "GiB", "data.size")


def test_an_image_in_a_format_that_was_not_asked_for(tmp_path):
    """Decoders of other formats start other programs."""
    root = fill(tmp_path / "images")
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "EPS")
    (root / "train" / "ant" / "0.png").write_bytes(picture.getvalue())
    assert_refused(lambda: read(root), "train/ant/0.png")


# A folder that holds the checksums of its files.


def write_checksums(root):
    files = sorted(path for path in root.rglob("*") if path.is_file())
    lines = [
        f"{hashlib.sha256(file.read_bytes()).hexdigest()}  ./{file.relative_to(root)}\n" for file in files
    ]
    (root / CHECKSUMS).write_text("".join(lines))


def test_checksums_in_a_folder_are_checked(tmp_path):
    root = fill(tmp_path / "images", "bmp")
    expected = read(root)
    write_checksums(root)
    assert torch.equal(read(root).train_images, expected.train_images)
    image = root / "train" / "ant" / "0.bmp"
    content = image.read_bytes()
    image.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert_refused(lambda: read(root), "train/ant/0.bmp", CHECKSUMS)


@pytest.mark.parametrize("change", ["a file less", "a file more", "no checksums"])
def test_checksums_of_other_files_are_refused(tmp_path, change):
    root = fill(tmp_path / "images")
    write_checksums(root)
    if change == "no checksums":
        (root / CHECKSUMS).write_text("none\n")
    elif change == "a file less":
        (root / "train" / "ant" / "0.png").unlink()
    else:
        (root / "train" / "ant" / "8.png").write_bytes((root / "train" / "ant" / "0.png").read_bytes())
    assert_refused(lambda: read(root), CHECKSUMS)
