"""The identity of images on the disk."""

import os
import shutil

import pytest
from support.pictures import fill, picture, zipped

from dimat.data.content import content_of
from dimat.errors import InputError


@pytest.fixture
def images(tmp_path):
    return fill(tmp_path / "images")


def test_a_copy_elsewhere_is_the_same(images, tmp_path):
    copied = tmp_path / "elsewhere"
    shutil.copytree(images, copied)
    for file in copied.rglob("*"):
        os.utime(file, (0, 0))
    assert content_of(copied) == content_of(images)
    assert content_of(zipped(images)) == content_of(zipped(images))


@pytest.mark.parametrize("change", ["edit", "rename", "remove", "add", "move to another class"])
def test_any_change_of_an_image_is_another(images, change):
    before = content_of(images)
    first = sorted((images / "train" / "ant").iterdir())[0]
    if change == "edit":
        picture(99).save(first)
    elif change == "rename":
        first.rename(first.with_name("z.png"))
    elif change == "remove":
        first.unlink()
    elif change == "add":
        shutil.copy(first, first.with_name("z.png"))
    else:
        first.rename(images / "train" / "bee" / "z.png")
    assert content_of(images) != before


def test_what_file_managers_leave_does_not_count(images):
    before = content_of(images)
    (images / ".DS_Store").write_bytes(b"x")
    (images / "train" / "Thumbs.db").write_bytes(b"x")
    (images / "__MACOSX").mkdir()
    (images / "__MACOSX" / "a").write_bytes(b"x")
    assert content_of(images) == before


def test_links_are_followed_and_nothing_is_read_for_ever(images, tmp_path):
    moved = tmp_path / "moved"
    before = content_of(images)
    shutil.move(images / "train", moved)
    (images / "train").symlink_to(moved)
    assert content_of(images) == before
    (images / "train" / "circle").symlink_to(images)
    os.mkfifo(images / "pipe")
    (images / "zero").symlink_to("/dev/zero")
    assert len(content_of(images)) == 64


def test_a_folder_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        content_of(tmp_path / "nothing")
