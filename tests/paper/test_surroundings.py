"""Figures, tables and paper are the same bytes, whatever the environment says of looks and languages."""

import os
import subprocess
import sys
from pathlib import Path

RC = """\
font.size: 20
font.family: serif
axes.facecolor: red
axes.formatter.use_locale: True
backend: TkAgg
svg.fonttype: none
savefig.dpi: 300
figure.autolayout: True
"""
TESTS = Path(__file__).parents[1]
FAMILIAR = ("MPLBACKEND", "MATPLOTLIBRC", "LC_ALL", "LANG", "TZ", "PYTHONHASHSEED", "SOURCE_DATE_EPOCH")


def drawing(folder, umask=0o022, **surroundings):
    """A process that draws a study in ``folder``."""
    folder.mkdir()
    kept = {name: value for name, value in os.environ.items() if name not in FAMILIAR}
    path = os.pathsep.join([str(TESTS), os.environ.get("PYTHONPATH", "")])
    return subprocess.Popen(
        [sys.executable, "-m", "support.drawing", folder],
        env=kept | {"PYTHONPATH": path} | surroundings,
        umask=umask,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_the_same_bytes_everywhere(tmp_path):
    (tmp_path / "matplotlib").mkdir()
    (tmp_path / "matplotlib" / "matplotlibrc").write_text(RC)
    usual = drawing(tmp_path / "usual", MPLBACKEND="no_such_backend")
    other = drawing(
        tmp_path / "other",
        umask=0o077,
        MPLBACKEND="module://matplotlib_inline.backend_inline",
        XDG_CONFIG_HOME=str(tmp_path),
        MATPLOTLIBRC=str(tmp_path / "matplotlib"),
        LC_ALL="C",
        LANG="de_DE.UTF-8",
        TZ="Asia/Tokyo",
        PYTHONHASHSEED="123",
        PYTHONWARNINGS="error",
        SOURCE_DATE_EPOCH="12345",
        COLUMNS="30",
        NO_COLOR="1",
    )
    (expected, _), (found, errors) = usual.communicate(), other.communicate()
    assert other.returncode == 0, errors
    assert found == expected and {"dimat.pdf", "tables/progress.tex"} <= set(expected.split())
