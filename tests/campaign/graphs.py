"""Graphs from which hostile ones are made, with the files that they need, and the decoding of what was made."""

from __future__ import annotations

import contextlib
import itertools
import random
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import onnx

from graphml_onnx import ExternalDataError, GraphmlOnnxError, InputError, Layout, ParameterStrategy, decode, encode
from tests.campaign import scratch
from tests.campaign.complete import check_complete
from tests.campaign.sizes import chunks
from tests.common import seeds
from tests.strategies import wire

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphml_onnx.results import Trust

SMALL = Path(__file__).parents[2] / "fixtures" / "small"
_LAYOUTS = get_args(Layout)
_STRATEGIES = get_args(ParameterStrategy)

METADATA: Mapping[str, object] = {
    "model": {"class_name": "M", "name": "m", "total_modules": 2},
    "modules": {
        "class_name": "M",
        "traced_tag": "/M",
        "scope": "",
        "execution_order": 0,
        "children": {
            "a": {"class_name": "A", "traced_tag": "/M/A", "scope": "a", "execution_order": 1},
            "b.0": {"class_name": "B", "traced_tag": "/M/B.0", "scope": "b.0", "children": {}},
        },
    },
    "nodes": {"relu": "/M/A", "if2": "/M/B.0", "": "/M"},
    "report": {"coverage": 100.0, "note": '"quoted" <é> \U0001f600'},
}
"""HTP metadata for the small models."""


def write_graphs(folder: Path) -> list[str]:
    """The texts of graphs that have everything that a graph can have; their payloads are files in the folder."""
    options = itertools.cycle(itertools.product(_STRATEGIES, _LAYOUTS, (False, True)))
    sources = dict(seeds.small_models())
    fields = wire.parse(sources["typed"])
    sources["shuffled"] = wire.serialise(tuple(reversed(fields)))  # not canonical: it has a residue
    sources["shuffled large"] = wire.serialise(tuple(reversed(wire.parse(sources["large"]))))
    external = SMALL / "external_data"
    for path in external.rglob("*.bin"):
        copy = folder / path.relative_to(external)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    sources["external"] = (external / "model.onnx").read_bytes()
    texts = []
    for number, data in enumerate([*sources.values(), *sources.values()]):
        model = folder / f"m{number}.onnx"
        model.write_bytes(data)
        parameters, layout, shown = next(options)
        metadata = METADATA if number % 3 == 0 else None
        result = encode(
            model, folder / f"g{number}.graphml", metadata=metadata, parameters=parameters, layout=layout,
            show_parameters=shown,
        )  # fmt: skip
        texts.append(result.graphml.read_text("utf-8"))
    return texts


class Decoding:
    """Decodes graphs beside the files that they need.

    Args:
        folder: gets these files.
        trust: which side is believed where edges and inputs disagree; None chooses by the data.
    """

    def __init__(self, folder: Path, trust: Trust | None = None) -> None:
        self._folder = folder
        self._trust = trust
        self._out = folder / "out"
        self._out.mkdir()
        self.texts = write_graphs(folder)
        """The graphs that are as they should be."""
        self._names = scratch.names(folder) | {"graph.graphml"}

    def check(self, data: bytes) -> str:
        """The library's own error and no file, or a model and no other file.

        The options depend on the data, so that these alone say what happens.
        """
        (self._folder / "graph.graphml").write_bytes(data)
        try:
            choice = zlib.crc32(data)
            with chunks(data, random.Random(choice)):
                return self._decode(choice)
        finally:
            self._clear()

    def _decode(self, choice: int) -> str:
        model, metadata = self._out / "model.onnx", self._out / "m.json"
        try:
            with scratch.no_waiting():
                result = decode(
                    self._folder / "graph.graphml",
                    model,
                    metadata_output=metadata if choice % 7 == 0 else None,
                    require_exact=choice % 11 == 0,
                    trust=self._trust or ("nodes" if choice % 5 == 0 else None),
                    parameter_folder=self._folder,
                )
        except GraphmlOnnxError as error:
            return self._refused(error)
        made = {model, *result.external, *([metadata] if result.metadata else [])}
        self._expect({path.relative_to(self._folder).as_posix() for path in made})
        content = model.read_bytes()
        onnx.ModelProto.FromString(content)
        if choice % 16 == 0 and not result.external:
            self._check_again(model, content)
        return "unchanged" if result.exact else "another model"

    def _refused(self, error: GraphmlOnnxError) -> str:
        """Makes sure that the error is complete, and that nothing was written."""
        self._expect(set())
        return f"refused ({check_complete(error)})"

    def _check_again(self, model: Path, content: bytes) -> None:
        """The edited model is a model like any other: the self-check of `encode` compares it."""
        with scratch.no_waiting(), contextlib.suppress(ExternalDataError, InputError):  # its data files are elsewhere
            encode(model, self._out / "again.graphml", parameters="embedded")
        assert model.read_bytes() == content

    def _expect(self, made: set[str]) -> None:
        found = scratch.names(self._folder) - self._names
        if found != made:
            folders = {parent.as_posix() for name in made for parent in Path(name).parents}
            assert found - folders == made, f"{sorted(found)} instead of {sorted(made)}"

    def _clear(self) -> None:
        for path in sorted(self._out.rglob("*"), reverse=True):
            if path.is_dir():
                path.rmdir()
            else:
                path.unlink()
