"""The route of a model through the packages while it is encoded: `python -m tests.docs.route MODEL [METADATA]`.

`python -m tests.docs.route --export dynamo` (or `torchscript`) shows the route of a small BERT through the files of
`exporting/` instead.

It lists functions in the order in which they are first called, a line for each stay in a package. A move to another
package is a climb if that one is above: its longest way down by imports is longer.
"""

from __future__ import annotations

import sys
import tempfile
from functools import cache
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import graphml_onnx
from tests.docs.imports import GROUND, ROOT, packages

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import CodeType, FrameType

    from graphml_onnx.exporting.record import ExporterName

_NO_PACKAGE = {*GROUND, "cli", "__init__"}


class Route:
    """Takes calls, and keeps the first one of each function."""

    def __init__(self, room: Callable[[str], str | None]) -> None:
        self.functions: dict[CodeType, str] = {}  # with the package of each
        self._room = room

    def follow(self, frame: FrameType, event: str, _: object) -> None:
        """Takes one event of `sys.setprofile`."""
        if event == "call" and frame.f_code not in self.functions:
            package = self._room(frame.f_code.co_filename)
            if package is not None:
                self.functions[frame.f_code] = package

    def stays(self) -> list[tuple[str, list[str]]]:
        """The packages in order, each with the functions that are entered there."""
        return [
            (package, [f"{Path(code.co_filename).stem}.{code.co_qualname}" for code, _ in entered])
            for package, entered in groupby(self.functions.items(), key=lambda entered: entered[1])
        ]


@cache
def _package(file: str) -> str | None:
    """The package of a source file; None for other code, and for the ground that every package uses."""
    path = Path(file)
    name = path.relative_to(ROOT).parts[0].removesuffix(".py") if path.is_relative_to(ROOT) else "__init__"
    return None if name in _NO_PACKAGE else name


@cache
def _file(file: str) -> str | None:
    """The file of a source within `exporting/`; None for other code."""
    path, folder = Path(file), ROOT / "exporting"
    return str(path.relative_to(folder).with_suffix("")) if path.is_relative_to(folder) else None


def floors() -> dict[str, int]:
    """For each package the length of its longest way down by imports."""
    arrows = packages()

    @cache
    def floor(package: str) -> int:
        return 1 + max((floor(other) for outer, other in arrows if outer == package), default=0)

    return {package: floor(package) for arrow in arrows for package in arrow}


def main(model: str, metadata: str | None = None) -> None:
    """Prints the route of one encode, and its moves and climbs."""
    route = Route(_package)
    with tempfile.TemporaryDirectory() as folder:
        graphml_onnx.encode(model, Path(folder) / "first.graphml", metadata=metadata)  # loads what is loaded late
        sys.setprofile(route.follow)
        graphml_onnx.encode(model, Path(folder) / "second.graphml", metadata=metadata)
        sys.setprofile(None)
    stays = route.stays()
    _show(stays)
    floor = floors()
    moves = [(floor[here], floor[there]) for (here, _), (there, _) in pairwise(stays)]
    print(f"{len(moves)} moves, {sum(here < there for here, there in moves)} of them up")


def main_of_export(exporter: ExporterName) -> None:
    """Prints the route of one export with report and GraphML, and its moves."""
    from transformers import BertConfig, BertModel

    config = BertConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64)
    model = BertModel(config)
    route = Route(_file)
    with tempfile.TemporaryDirectory() as folder:
        for name in ("first", "second"):  # the first loads what is loaded late
            sys.setprofile(route.follow if name == "second" else None)
            onnx = Path(folder) / f"{name}.onnx"
            graphml_onnx.export(model, onnx, exporter=exporter, with_report=True, with_graphml=True)
            sys.setprofile(None)
    stays = route.stays()
    _show(stays)
    print(f"{len(stays) - 1} moves, {len({file for file, _ in stays})} files")


def _show(stays: list[tuple[str, list[str]]]) -> None:
    for room, functions in stays:
        print(f"{room}: {', '.join(name for name in functions if '<' not in name) or '…'}")


if __name__ == "__main__":
    if sys.argv[1] == "--export":
        main_of_export("torchscript" if sys.argv[2] == "torchscript" else "dynamo")
    else:
        main(*sys.argv[1:])
