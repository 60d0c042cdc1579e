"""The page of results: what its tables say, and what made them."""

import pytest
from support.made_up import write_study

from dimat.errors import InputError
from dimat.io.files import write_checked, write_json
from paper.page import page, section
from paper.tables import tables_of


def test_a_section_says_once_what_all_rows_share_and_needs_no_git(tmp_path):
    study, layout = write_study(tmp_path, lambda *_: 0.5, method=["dimat", "wa"], seeds=[0])
    versions = [{"commit": None, "dimat": "0.1.0"}]
    write_json(layout.provenance, {"runs": 2, "seconds": 90, "devices": ["cpu"], "versions": versions})
    for name in tables_of(study):
        rows = b"method,seeds,empty,merge 1\nDIMAT,3,,1.0\nWA | x,3,,2.0\n"
        write_checked(layout.table(name, "csv"), rows)
    text = section(study, layout)
    assert "2 runs, 2 minutes in all on cpu (commit None, dimat 0.1.0)." in text
    table = "| method | merge 1 |\n| --- | --- |\n| DIMAT | 1.0 |\n| WA &#124; x | 2.0 |"
    assert text.count(f"\n\nseeds: 3\n\n{table}\n") == len(tables_of(study))
    one = page([(study, layout)], ["progress"])
    assert one.count("### ") == 1 and "### study: progress" in one.replace(study.name, "study")
    with pytest.raises(InputError, match="no table 'audits'; expected one of audit, claims"):
        page([(study, layout)], ["audits"])
