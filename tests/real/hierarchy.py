"""Prints a table of the modules that models get: ``python -m tests.real.hierarchy FOLDER...``, without HTP metadata."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import graphml_onnx
from graphml_onnx import GraphmlOnnxError

HEADER = """| model | operators | source | modules | in a module | placed by rule |
| --- | --- | --- | --- | --- | --- |"""


def row(model: Path, name: str) -> str:
    """One line of the table."""
    try:
        found = graphml_onnx.preview(model, Path(f"{model}.graphml"))
    except GraphmlOnnxError as error:
        return f"| {name} | | {' '.join(str(error).split())[:80]} | | | |"
    rules = ", ".join(f"{rule} {count}" for rule, count in sorted(found.placements.items(), key=lambda item: -item[1]))
    return (
        f"| {name} | {sum(found.placements.values())} | {found.hierarchy_source} | {found.modules} "
        f"| {found.coverage:.0f} % | {rules} |"
    )


def main() -> int:
    """Prints the table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.real.hierarchy", description=__doc__)
    parser.add_argument("folders", metavar="FOLDER", nargs="+", type=Path, help="models, and folders of models")
    print(HEADER)
    for folder in parser.parse_args().folders:
        for path in [folder] if folder.is_file() else sorted(folder.rglob("*.onnx")):
            print(row(path, path.name if folder.is_file() else path.relative_to(folder).as_posix()), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
