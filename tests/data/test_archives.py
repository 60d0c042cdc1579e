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

from dimat.data.folder_files import CHECKSUMS
from dimat.data.memory import memory_limit


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


@pytest.mark.parametrize("name", ["C:\\escaped.png", "..\\escaped.png", "train\\..\\..\\x.png", "//x/y.png"])
def test_a_path_of_windows_that_leads_out(archive, name):
    add(archive, name)
    assert_refused(lambda: read(archive), archive, "leads out")


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_a_device(archive, kind):
    add(archive, "train/ant/9.png", external_attr=(kind | 0o777) << 16)
    assert_refused(lambda: read(archive), archive, "train/ant/9.png", "device")


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
    count = memory_limit() // (3 * 2000 * 2000) // 3  # a third fits, but not the copies on the way
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(count):
            archive.writestr(f"train/ant/{number}.png", image)
        for name in ("train/bee/0.png", "test/ant/0.png", "test/bee/0.png"):
            archive.writestr(name, image)
    assert_refused(lambda: read(path), path, f"{count + 3} images of 2000x2000", "GiB", "data.size")


def test_an_image_in_a_format_that_was_not_asked_for(tmp_path):
    """Decoders of other formats start other programs."""
    root = fill(tmp_path / "images")
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "EPS")
    (root / "train" / "ant" / "0.png").write_bytes(picture.getvalue())
    assert_refused(lambda: read(root), "train/ant/0.png")


# Zips as programs make them.


def rewritten(path, name_of, **more):
    """A zip with the same files under the names ``name_of`` gives, and ``more`` files."""
    other = path.with_name("rewritten.zip")
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(other, "w") as made:
        for member in archive.infolist():
            made.writestr(name_of(member.filename), archive.read(member))
        for name, content in more.items():
            made.writestr(name, content)
    return other


def assert_same(path, expected, skipped):
    found = read(path)
    assert found.classes == expected.classes
    assert found.fingerprint() == expected.fingerprint()
    assert found.source.get("skipped") == skipped


def test_a_zip_of_finder(archive):
    """With resource copies beside the top folder, its settings in folders, and a note."""
    expected = read(archive)
    extras = {
        **{f"__MACOSX/images/train/ant/._{number}.png": b"\0\5\x16\7" for number in range(3)},
        "__MACOSX/._images": b"x",
        "images/.DS_Store": b"x",
        "images/train/.DS_Store": b"x",
        "images/train/ant/._0.png": b"x",
        "README.txt": b"x",
    }
    made = rewritten(archive, "images/{}".format, **extras)
    assert_same(
        made,
        expected,
        "beside images/: 1 (first: README.txt); "
        "files of an operating system: 4 (first: __MACOSX/images/train/ant/._0.png); "
        "hidden, their names begin with a dot: 3 (first: images/.DS_Store)",
    )


def test_a_zip_with_backslashes(archive):
    expected = read(archive)
    assert_same(rewritten(archive, lambda name: name.replace("/", "\\")), expected, None)
    assert_same(rewritten(archive, lambda name: "data\\" + name.replace("/", "\\")), expected, None)


@pytest.mark.parametrize("top", ["a/", "a/b/", "a/b/c d/", "./", ".//a/"])
def test_a_data_set_below_other_folders(archive, top):
    assert_same(rewritten(archive, lambda name: top + name), read(archive), None)


def test_a_class_that_is_called_train(archive):
    renamed = rewritten(archive, lambda name: name.replace("ant", "train"))
    assert read(renamed).classes == ("bee", "cat", "train")


def test_two_data_sets_in_one_zip(archive):
    made = rewritten(archive, "one/{}".format, **{"two/train/ant/0.png": b"x"})
    assert_refused(lambda: read(made), made, "one/", "two/")


def test_names_twice_in_two_spellings(archive):
    made = rewritten(archive, str, **{"train\\ant\\0.png": b"x"})
    assert_refused(lambda: read(made), made, "two files of one name", "train/ant/0.png")


def test_names_in_utf8_that_do_not_say_so(archive):
    """As the archiver of macOS writes them."""
    made = rewritten(archive, lambda name: name.replace("ant", "\u00e9t"))
    content = bytearray(made.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        position = content.find(signature)
        while position >= 0:
            content[position + flags + 1] &= ~0x08
            position = content.find(signature, position + 1)
    made.write_bytes(content)
    assert read(made).classes == ("bee", "cat", "\u00e9t")


def test_a_zip_in_a_zip(archive, tmp_path):
    outer = tmp_path / "outer.zip"
    with zipfile.ZipFile(outer, "w") as made:
        made.write(archive, "inner.zip")
    assert_refused(lambda: read(outer), outer, "0 classes", "found inner.zip")
    expected = read(archive)
    add(archive, "train/ant/more.zip", outer.read_bytes())
    assert_same(archive, expected, "archives, not unpacked: 1 (first: train/ant/more.zip)")


def test_a_password_is_said(archive):
    content = bytearray(archive.read_bytes())
    content[content.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(content)
    assert_refused(lambda: read(archive), archive, "encrypted", "without a password")


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
