"""Which files of a folder are read, which are left out and said to be, and which are refused."""

import os
import shutil
import socket
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import TypeAdapter, ValidationError
from support.pictures import assert_refused, fill, folders, picture, read, zipped

from dimat.data import DataFolders
from dimat.data.cifar import Cifar10
from dimat.data.data_set import SEARCH_VARIABLE
from dimat.data.folder import Folder
from dimat.data.memory import memory_limit
from dimat.io.names import Showable, Title, fault_of, printable


@pytest.fixture
def root(tmp_path):
    return fill(tmp_path / "images")


def other_than(root, before):
    """How many images are read beyond those of ``before``, and what is said to be skipped."""
    found = read(root)
    assert found.classes == before.classes
    return len(found.train_labels) - len(before.train_labels), found.source.get("skipped", "")


# Endings.


@pytest.mark.parametrize("form", ["folder", "zip"])
@pytest.mark.parametrize(
    ("name", "format"),
    [
        ("x.jfif", "JPEG"),
        ("x.jpe", "JPEG"),
        ("x.JPG", "JPEG"),
        ("x.avif", "AVIF"),
        ("x.webp", "WEBP"),
        ("x.WebP", "WEBP"),
        ("x.PNG", "PNG"),
        ("x.pnm", "PPM"),
        ("x.dib", "BMP"),
        ("jpeg", "JPEG"),
        ("png", "PNG"),
        ("gif", "GIF"),
        ("bmp", "BMP"),
        ("tiff", "TIFF"),
        ("webp", "WEBP"),
        ("avif", "AVIF"),
        ("ppm", "PPM"),
        ("photo.jpg_large", "JPEG"),
        ("photo.png.1", "PNG"),
        ("a.txt", "JPEG"),
    ],
)
def test_images_are_read_whatever_their_ending(root, name, format, form):
    before = read(root)
    picture(7).save(root / "train" / "ant" / name, format)
    assert other_than(root if form == "folder" else zipped(root), before) == (1, "")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("x.heic", b"\0\0\0\x18ftypheic"),
        ("x", b"\0\0\0\x18ftypheic"),
        ("x", b"\0\0\0\x18ftypmif1"),
        ("x.jxl", b"\xff\x0a"),
        ("x.JP2", b"\0\0\0\x0cjP  "),
        ("x", b"\0\0\0\x0cJXL "),
        ("x.psd", b"8BPS"),
        ("x.svg", b"<svg/>"),
        ("x.tga", b"x"),
        ("x.CR2", b"x"),
    ],
)
def test_images_in_formats_that_are_not_read_are_refused(root, name, content):
    (root / "train" / "ant" / name).write_bytes(content)
    assert_refused(lambda: read(root), root, f"train/ant/{name}", "expected JPEG")


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("notes.txt", b"BM is a note", "no images"),
        ("labels.csv", b"a,b", "no images"),
        ("empty", b"", "no images"),
        ("P5", b"P5 is what it is called", "no images"),
        ("a.zip", b"PK\x03\x04", "archives, not unpacked"),
        ("a.tar", bytes(257) + b"ustar", "archives, not unpacked"),
        ("a.tgz", b"\x1f\x8b\x08", "archives, not unpacked"),
        ("._0.png", b"x", "hidden, their names begin with a dot"),
        (".0.png", b"x", "hidden, their names begin with a dot"),
        (".DS_Store", b"x", "hidden, their names begin with a dot"),
        ("Thumbs.db", b"x", "files of an operating system"),
        ("desktop.ini", b"x", "files of an operating system"),
    ],
)
def test_what_is_no_image_is_left_out_and_said(root, name, content, reason):
    before = read(root)
    (root / "train" / "ant" / name).write_bytes(content)
    (root / "train" / "bee" / name).write_bytes(content)
    assert other_than(root, before) == (0, f"{reason}: 2 (first: train/ant/{name})")


def test_hidden_folders_are_no_classes(root):
    before = read(root)
    for folder in (".ipynb_checkpoints", "@eaDir", "__MACOSX"):
        (root / "train" / folder).mkdir()
        picture(0).save(root / "train" / folder / "0.png")
    added, said = other_than(root, before)
    assert added == 0 and said.count("(first: ") == 2 and "files of an operating system: 2" in said


def test_files_outside_of_classes_are_said(root):
    before = read(root)
    picture(0).save(root / "train" / "0.png")
    (root / "README").write_text("x")
    (root / "val" / "ant").mkdir(parents=True)
    picture(0).save(root / "val" / "ant" / "0.png")
    added, said = other_than(root, before)
    assert added == 0
    assert said == (
        "in train/ but in no class: 1 (first: train/0.png); outside train/ and test/: 2 (first: README)"
    )


def test_another_layout_is_told_what_was_found(root):
    (root / "test").rename(root / "val")
    assert_refused(lambda: read(root), root, "no class in test/", "found train/, val/")
    (root / "train").rename(root / "Train")
    assert_refused(lambda: read(root), root, "0 classes", "found Train/, val/")


# Links and what is no file.


def test_links_to_files_and_folders_are_followed(root, tmp_path):
    before = read(root)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    picture(9).save(elsewhere / "9.png")
    (root / "train" / "ant" / "link.png").symlink_to(elsewhere / "9.png")
    (root / "train" / "ant" / "more").symlink_to(elsewhere)
    assert other_than(root, before) == (2, "")
    (root / "train" / "ant").rename(tmp_path / "ant")
    (root / "train" / "ant").symlink_to(tmp_path / "ant")
    whole = tmp_path / "linked"
    whole.symlink_to(root)
    assert other_than(whole, before) == (2, "")


def test_links_in_circles_are_not_followed(root):
    before = read(root)
    (root / "train" / "ant" / "up").symlink_to(root / "train")
    (root / "train" / "ant" / "self.png").symlink_to("self.png")
    added, said = other_than(root, before)
    assert added == 0
    assert "links to a folder that they lie in: 1 (first: train/ant/up)" in said
    assert "1 (first: train/ant/self.png)" in said


def test_a_link_to_nothing_is_refused(root):
    (root / "train" / "ant" / "9.png").symlink_to("lost.png")
    assert_refused(lambda: read(root), root, "train/ant/9.png", "No such file")


def test_pipes_sockets_and_devices_are_never_opened(root, monkeypatch):
    before = read(root)
    os.mkfifo(root / "train" / "ant" / "pipe.png")
    (root / "train" / "bee" / "zero.png").symlink_to("/dev/zero")
    monkeypatch.chdir(root / "train" / "cat")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket.png")
        said = "pipes, sockets and devices: 3 (first: train/ant/pipe.png)"
        assert other_than(root, before) == (0, said)


def test_a_data_set_that_is_no_file_is_refused(tmp_path):
    pipe, link = tmp_path / "pipe.zip", tmp_path / "zero"
    os.mkfifo(pipe)
    link.symlink_to("/dev/zero")
    for path in (pipe, link):
        assert_refused(lambda path=path: read(path), path, "expected a folder or a zip")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_refused(root):
    (root / "train" / "ant").chmod(0)
    assert_refused(lambda: read(root), root, "train/ant", "Permission denied")


def test_a_file_that_is_too_large_is_refused(root):
    with (root / "train" / "ant" / "9.png").open("wb") as file:
        file.truncate(2**30)
    assert_refused(lambda: read(root), "train/ant/9.png", "64 MiB")


# Where it lies.


def test_the_home_folder_is_meant_by_a_tilde(root, monkeypatch, tmp_path):
    expected = read(root).fingerprint()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert read("~/images").fingerprint() == expected
    monkeypatch.setenv(SEARCH_VARIABLE, "~")
    found = Folder(path="images").read(DataFolders.from_environment(tmp_path / "downloads"))
    assert found.fingerprint() == expected


@pytest.mark.parametrize("path", ["~nobody-of-this-name/x", "x" * 300, "/nowhere/\u732b", "x/" * 3000])
def test_a_path_that_cannot_be_is_refused(path, tmp_path):
    assert_refused(lambda: Folder(path=path).read(folders(tmp_path)), "data.path")


# Names.


@pytest.mark.parametrize(
    "label", ["a$b", "<b>", "#x", "a_b*c", "\u732b", "\u0645\u0631\u062d\u0628\u0627", "a b", "x" * 255, "~"]
)
def test_classes_of_unusual_names_are_read(root, label):
    for split in ("train", "test"):
        (root / split / "ant").rename(root / split / label)
    assert sorted(read(root).classes) == sorted(["bee", "cat", label])


@pytest.mark.parametrize(
    "label", ["a\nb", "a\tb", "a\u2028b", "a\u2029b", "a\x7fb", "a\u202eb", " ", os.fsdecode(b"caf\xe9")]
)
def test_class_names_that_cannot_be_shown_are_refused(root, label):
    for split in ("train", "test"):
        (root / split / "ant").rename(root / split / label)
    assert_refused(lambda: read(root), root, "class folder train/", "rename it")


def test_two_forms_of_one_name_are_one_class(root):
    """A folder that was copied from a Mac holds decomposed letters."""
    label = "\u00e9t\u00e9"
    (root / "train" / "ant").rename(root / "train" / label)
    (root / "test" / "ant").rename(root / "test" / unicodedata.normalize("NFD", label))
    assert read(root).classes == ("bee", "cat", label)
    (root / "train" / unicodedata.normalize("NFD", label)).mkdir()
    picture(0).save(root / "train" / unicodedata.normalize("NFD", label) / "0.png")
    assert_refused(lambda: read(root), root, "two forms of Unicode")


def test_names_that_differ_in_case_are_two_classes(root):
    for split in ("train", "test"):
        (root / split / "bee").rename(root / split / "ANT")
    assert read(root).classes == ("ANT", "ant", "cat")
    for name in ("train/ant", "test/ant"):
        shutil.rmtree(root / name)
    (root / "test" / "ANT").rename(root / "test" / "Ant")
    assert_refused(lambda: read(root), root, "'Ant' has no image in train/Ant/ (there is train/ANT/)")


def test_files_whose_names_are_not_utf8_are_read_and_named(root):
    picture(0).save(root / "train" / "ant" / "9.png")
    (root / "train" / "ant" / "9.png").rename(root / "train" / "ant" / os.fsdecode(b"\xe9.png"))
    assert len(read(root).train_labels) == 10
    Image.new("RGB", (9, 9)).save(root / "train" / "ant" / "9.png")
    (root / "train" / "ant" / "9.png").rename(root / "train" / "ant" / os.fsdecode(b"\xe9.png"))
    assert_refused(lambda: read(root), "train/ant/\\udce9.png", "9x9")


@pytest.mark.parametrize("title", ["", " ", "a\nb", "a\u2028b", "x" * 81, "\ud800"])
def test_titles_that_cannot_be_shown_are_refused(title):
    with pytest.raises(ValidationError, match="expected"):
        TypeAdapter(Title).validate_python(title)


def test_a_name_that_is_too_long_for_a_table_needs_a_title(root):
    long = root.rename(root.with_name("x" * 200))
    assert_refused(lambda: read(long), "data.title", "80")
    assert read(long, title="mine").title == "mine"


def test_the_title_of_the_folder_that_one_is_in(root, monkeypatch):
    monkeypatch.chdir(root)
    assert read(".").title == "images"


@given(st.text())
def test_shown_names_are_one_line_and_good_ones_stay(name):
    assert len(printable(name).splitlines()) <= 1
    printable(name).encode()
    if fault_of(name) is None:
        assert TypeAdapter(Showable).validate_python(name) == name
        assert len(name.splitlines()) == 1


# Memory.


MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


@pytest.fixture
def control_groups(tmp_path):
    """Writes which groups a process is in, and files of groups; gives the limit that follows."""

    def limit(own, **files):
        (tmp_path / "cgroup").write_text(own)
        for name, content in files.items():
            path = tmp_path / "groups" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        return memory_limit(tmp_path, tmp_path / "groups")

    return limit


def test_without_control_groups_it_is_the_memory_of_the_machine(tmp_path):
    assert memory_limit(tmp_path / "none", tmp_path / "none") <= MACHINE


@pytest.mark.parametrize(
    ("own", "files", "expected"),
    [
        ("0::/a/b\n", {"a/b/memory.max": "max\n", "a/memory.max": "2000\n"}, 2000),
        ("0::/a/b\n", {"a/b/memory.max": "1000\n", "a/memory.max": "2000\n"}, 1000),
        ("0::/\n", {"memory.max": "3000\n"}, 3000),
        ("0::/host/name\n", {"memory.max": "3000\n"}, 3000),  # seen from within a container
        ("5:cpu:/x\n4:memory:/a/b\n", {"memory/a/memory.limit_in_bytes": "4000\n"}, 4000),
        ("4:memory:/docker/0f\n", {"memory/memory.limit_in_bytes": "5000\n"}, 5000),
        ("4:cpu,memory:/a\n0::/\n", {"cpu,memory/a/memory.limit_in_bytes": "6000\n"}, 6000),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": f"{2**63 - 4096}\n"}, None),
        ("0::/a\n", {"memory.max": "max\n"}, None),
        ("0::/a\n", {"other/memory.max": "9\n"}, None),
    ],
)
def test_the_memory_of_a_control_group(control_groups, own, files, expected):
    found = control_groups(own, **files)
    assert found == expected if expected else 2**30 < found <= MACHINE


def test_a_substitute_may_lie_anywhere(root, tmp_path):
    """Where DIMAT_DATA leads is no part of the configuration, and shown nowhere."""
    place = tmp_path / "a\nb"
    place.mkdir()
    root.rename(place / ("x" * 200))
    data = Cifar10(substitute="x" * 200)
    images = data.read(folders(place, downloads=tmp_path / "none"))
    assert images.title.startswith("CIFAR-10 (")
    assert images.shape == (3, 8, 8)
