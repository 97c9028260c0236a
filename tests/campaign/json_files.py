"""The target ``json``: HTP metadata and the JSON in a graph, with something wrong, or only unusual, in them.

An input is a line that says where the JSON goes, ``metadata`` or the key of a value, and then the JSON.
"""

from __future__ import annotations

import html
import json
import random
import re
import zlib
from typing import TYPE_CHECKING

from graphml_onnx import MetadataError, decode, encode
from graphml_onnx.hierarchy import Graph, Operator, build_hierarchy, read_metadata
from tests.campaign import hostile_json, scratch
from tests.campaign.complete import check_complete
from tests.campaign.graphs import METADATA, Decoding
from tests.common import seeds

if TYPE_CHECKING:
    from pathlib import Path

_VALUE = re.compile(r'(<data key="(\w+)">)([\[{][^<]*)(?=</data>)')
_OPERATORS = [Operator(name) for name in ("relu", "if2", "", "/a/MatMul_1", "x.y/z")]


class JsonFiles:
    """Metadata come back as they are, values make a model, or there is the library's own error; nothing else.

    Args:
        folder: where to work.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._decoding = Decoding(folder)
        self._model = folder / "m0.onnx"
        # key -> what stands before, the JSON, what follows; of the same JSON, that in the smallest graph
        self._values: dict[str, list[tuple[str, str, str]]] = {}
        seen = set()
        for text in sorted(self._decoding.texts, key=len):
            for match in _VALUE.finditer(text):
                if match[2] != "htp_metadata" and match.group(2, 3) not in seen:
                    seen.add(match.group(2, 3))
                    around = (text[: match.start(3)], html.unescape(match[3]), text[match.end(3) :])
                    self._values.setdefault(match[2], []).append(around)
        self._keys = sorted(self._values)
        real = [path.read_text("utf-8") for path in seeds.FIXTURES.glob("*resnet*/*.json")]
        self._metadata = [json.dumps(METADATA)] * 12 + real

    def make(self, number: int) -> bytes:
        """A mutant of metadata, or of a value."""
        rng = random.Random(number)
        if rng.random() < 0.5:
            key, text = "metadata", rng.choice(self._metadata)
        else:
            key = rng.choice(self._keys)
            _, text, _ = rng.choice(self._values[key])
        return f"{key}\n{hostile_json.mutant(text, rng)}".encode("utf-8", "surrogatepass")

    def attempt(self, number: int) -> str:
        """See `Target`."""
        return self.check(self.make(number))

    def check(self, data: bytes) -> str:
        """See `InputTarget`."""
        first, _, content = data.partition(b"\n")
        key = first.decode("ascii", "replace")
        if key not in self._values:
            return f"metadata {self._check_metadata(content)}"
        before, _, after = self._values[key][zlib.crc32(content) % len(self._values[key])]
        value = content.replace(b"&", b"&amp;").replace(b"<", b"&lt;").replace(b">", b"&gt;")
        return self._decoding.check(before.encode() + value + after.encode())

    def _check_metadata(self, content: bytes) -> str:
        try:
            metadata = read_metadata(content, "m.json")
        except MetadataError as error:
            return self._refused(error)
        hierarchy = build_hierarchy(Graph(_OPERATORS), metadata)
        assert sum(hierarchy.rules.values()) == len(_OPERATORS)
        if zlib.crc32(content) % 16 == 0:
            self._check_whole(content)
        return "read"

    def _refused(self, error: MetadataError) -> str:
        """Makes sure that the error is complete."""
        assert error.file == "m.json"
        check_complete(error, (MetadataError,))
        return "refused"

    def _check_whole(self, content: bytes) -> None:
        """They come back byte for byte from a graph."""
        given, graph, model, back = (
            self._folder / "out" / name for name in ("m.json", "g.graphml", "m.onnx", "b.json")
        )
        given.write_bytes(content)
        with scratch.no_waiting():
            encode(self._model, graph, metadata=given, parameters="embedded")
            result = decode(graph, model, metadata_output=back)
        assert result.exact
        assert back.read_bytes() == content
        for path in (given, graph, model, back):
            path.unlink()
