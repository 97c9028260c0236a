"""The target ``commands``: mutants of small models, for the commands that read models as graphs.

An input is a line, the command and the model that the mutant was made from, and then the mutant.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import graphml_onnx
from graphml_onnx import GraphmlOnnxError
from tests.campaign import command_shapes, scratch
from tests.common import seeds
from tests.strategies import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_MODULE = "layer.0"
_LAYERS = "modules that look the same"
_PART = "part"


def _extract(model: Path, folder: Path) -> object:
    return graphml_onnx.extract(model, folder / "made.onnx", module=_MODULE)


def _replace(part: Path, folder: Path) -> object:
    return graphml_onnx.replace(folder / "layers.onnx", part, folder / "made.onnx", module=_MODULE)


_RUNS: Mapping[str, Callable[[Path, Path], object]] = {
    **{name: command_shapes.RUNS[name] for name in ("inspect", "textconv", "tables", "view")},
    "extract": _extract,
    "functions": lambda model, folder: graphml_onnx.functions(model, folder / "made.onnx"),
    "inline": lambda model, folder: graphml_onnx.inline(model, folder / "made.onnx"),
    "diff": lambda model, folder: graphml_onnx.diff(folder / "base.onnx", model),
    "replace": _replace,
}


class Commands:
    """An answer, or the library's own error with what to do.

    Args:
        folder: where to work.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._bases = seeds.small_models()
        self._bases |= {name: make(6) for name, (_, make) in command_shapes.INPUTS.items()}
        layers, part = folder / "layers.onnx", folder / "part.onnx"
        layers.write_bytes(self._bases[_LAYERS])
        graphml_onnx.extract(layers, part, module=_MODULE)
        self._bases[_PART] = part.read_bytes()
        part.unlink()
        self._names = sorted(self._bases)
        self._fields = {name: wire.parse(data) for name, data in self._bases.items()}
        self._others = sorted(_RUNS.keys() - {"replace"})

    def make(self, number: int) -> bytes:
        """A mutant of one of the models."""
        rng = random.Random(number)
        name = rng.choice(self._names)
        command = "replace" if name == _PART else rng.choice(self._others)
        return f"{command} {name}\n".encode() + wire.mutant(self._fields[name], rng)

    def attempt(self, number: int) -> str:
        """See `Target`."""
        return self.check(self.make(number))

    def check(self, data: bytes) -> str:
        """See `InputTarget`."""
        line, _, content = data.partition(b"\n")
        command, _, name = line.decode().partition(" ")
        model = self._folder / "model.onnx"
        model.write_bytes(content)
        (self._folder / "base.onnx").write_bytes(self._bases[name])
        try:
            with scratch.no_waiting():
                _RUNS[command](model, self._folder)
        except GraphmlOnnxError as error:
            return f"{command} refused ({_complete(error, command)})"
        finally:
            scratch.clear(self._folder, keep={"layers.onnx"})
        return f"{command} done"


def _complete(error: GraphmlOnnxError, command: str) -> str:
    """The name of an error that says what to do; of a part, the message says what it lacks."""
    assert error.remedy or command == "replace", error
    assert str(error).isprintable(), error
    assert len(str(error)) < 10_000, "nobody reads so much"
    return type(error).__name__
