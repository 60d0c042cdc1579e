"""What an earlier configuration of a study has left goes; what is its user's stays."""

import logging

from support.made_up import write_finished

from dimat.io.files import write_checked
from paper.commands import remove_stale, write_table
from paper.tables import tables_of


def test_only_unchanged_files_of_this_project_go(tmp_path, caplog):
    study, layout = write_finished(tmp_path, method=["wa", "local"], seeds=[0], training={"rounds": 1})
    tables = tables_of(study)
    for name in (*tables, "advantage"):
        write_table(layout, name, tables["progress"])
    write_checked(layout.table("edited", "csv"), b"a\n")
    layout.table("edited", "csv").write_text("a, and what somebody added\n")
    layout.table("own", "csv").write_text("somebody's\n")
    layout.table("notes", "txt").write_text("somebody's\n")
    with caplog.at_level(logging.INFO):
        remove_stale(layout.table("", "csv"), tables)
    left = {path.name for path in layout.table("", "csv").parent.iterdir()}
    kept = {
        f"{name}.{ending}{more}" for name in tables for ending in ("csv", "tex") for more in ("", ".sha256")
    }
    assert left == kept | {"edited.csv", "edited.csv.sha256", "own.csv", "notes.txt"}
    assert [record.getMessage().split(": ")[0].rsplit("/")[-1] for record in caplog.records] == [
        "advantage.csv",
        "advantage.tex",
    ]


def test_no_folder_is_nothing_to_remove(tmp_path):
    remove_stale(tmp_path / "figures" / "none.svg", {})
