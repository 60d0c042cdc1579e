"""Draws a made-up study in a process of its own, and prints a checksum of every file."""

import hashlib
import sys
from pathlib import Path

from support.made_up import write_finished

from dimat.cli.main import main

KEYS = {
    "data": {"name": "folder", "path": "images", "title": "Größe $x_1$, 50 % & more"},
    "method": ["dimat", "wa"],
    "calibration": [{}, {"images": "own"}],
    "seeds": [0, 1],
    "training": {"rounds": 2},
}


def run(*arguments):
    sys.argv = ["dimat", *arguments]
    try:
        main()
    except SystemExit as ended:
        if ended.code:
            raise


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    study, layout = write_finished(folder, **KEYS)
    config = folder / "study.yaml"
    config.write_text(study.model_dump_json(exclude={"variants"}), "utf-8")
    for command in ("figure", "table", "pdf"):
        run(command, str(config), "--results", str(folder))
    for path in sorted(layout.root.rglob("*")):
        if path.suffix in (".svg", ".png", ".txt", ".csv", ".tex", ".pdf"):
            print(hashlib.sha256(path.read_bytes()).hexdigest(), path.relative_to(layout.root))
