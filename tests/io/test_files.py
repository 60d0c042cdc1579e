"""Many files at once: each is whole or absent, as if they were written one by one."""

import pytest

from dimat.errors import InputError
from dimat.io.files import write_all


def contents_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_all_are_written(tmp_path):
    contents = {
        tmp_path / str(number % 7) / "deep" / f"{number}.txt": bytes([number]) * number
        for number in range(200)
    }
    write_all(contents)
    assert contents_of(tmp_path) == contents


def test_one_that_cannot_be_written_is_named_and_no_other_is_half_done(tmp_path):
    (tmp_path / "file").write_bytes(b"in the way")
    contents = {tmp_path / "folder" / str(number): bytes([number]) * 1000 for number in range(100)}
    bad = tmp_path / "file" / "below"
    with pytest.raises(InputError, match="file/below: cannot be written"):
        write_all({bad: b"new", **contents})
    found = contents_of(tmp_path)
    assert found.pop(tmp_path / "file") == b"in the way"
    assert found.items() <= contents.items()
