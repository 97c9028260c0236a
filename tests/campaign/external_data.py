"""The target ``external``: models and graphs whose data files are anywhere, with any offset and length.

An input is a line, ``model`` or ``graph``, and then the file.
"""

from __future__ import annotations

import json
import os
import random
import re
import stat
import zlib
from typing import TYPE_CHECKING, get_args

from graphml_onnx import (
    ExternalDataError,
    GraphMLError,
    GraphmlOnnxError,
    InputError,
    OutputError,
    ParameterStrategy,
    UsageError,
    decode,
    encode,
)
from tests.campaign import scratch
from tests.campaign.complete import check_complete
from tests.common.external_models import external, model_with

if TYPE_CHECKING:
    from pathlib import Path

    from onnx import TensorProto

_STRATEGIES = get_args(ParameterStrategy)
_DATA = bytes(range(256)) * 8
_LOCATIONS = (
    "w.bin", "w.bin", "w.bin", "in/deep/w.bin", "in/../w.bin", "./w.bin", "in//deep/w.bin", "w.bin/", "../w.bin",
    "/etc/hostname", "", ".", "..", "missing.bin", "in", "link", "linked/w.bin", "loop", "fifo", "model.onnx",
    "g.graphml", "g.onnxdata", "back.onnx", "in\\deep\\w.bin", "C:w.bin", "w.bin\0", "\ud800", "é", "a" * 300,
    "a/" * 2500, "NUL", "con", ".w.bin.0123456789abcdef.g2o-tmp", "g.onnxdata.0123456789abcdef", ".g2o-lock",
    "victim.txt", "in/victim.txt", "~/w.bin", "file:w.bin", "w.bin ", "w.bin.", "W.BIN", "\u202ebin.w", "-rf",
)  # fmt: skip
_NUMBERS = (
    "0", "1", "4", "40", "2008", "2047", "2048", "2049", "-1", "1_0", "+4", " 4", "0x4", "4.0", "", "٤", "9" * 19,
    "9" * 30, str(2**63 - 1), str(2**63), str(2**64), "00004",
)  # fmt: skip
_FILES = re.compile(r'(<data key="external_files">)([^<]*)')
_KINDS = (GraphMLError, ExternalDataError, InputError, OutputError, UsageError)
"""What a refusal may be; a data file with the name of the output is the user's to mend, who named the output."""


class ExternalData:
    """A model comes back with its data files, or is refused; no other file is read, made or changed.

    Args:
        folder: where to work.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "given"
        self._out = folder / "out"
        for place in (self._folder, self._out):
            (place / "in").mkdir(parents=True)
            (place / "victim.txt").write_bytes(b"not to be changed")
            (place / "in" / "victim.txt").write_bytes(b"not to be changed")
        (self._folder / "in" / "deep").mkdir()
        for name in ("w.bin", "in/deep/w.bin"):
            (self._folder / name).write_bytes(_DATA)
        (folder / "secret").write_bytes(b"outside")
        (self._folder / "link").symlink_to(folder / "secret")
        (self._folder / "linked").symlink_to(self._folder / "in" / "deep")
        (self._folder / "loop").symlink_to("loop")
        os.mkfifo(self._folder / "fifo")
        self._text = self._graph()
        self._left = self._states()

    def _graph(self) -> str:
        model = self._folder / "model.onnx"
        tensors = [external("a", "w.bin", offset=4, length=40), external("b", "in/deep/w.bin")]
        model.write_bytes(model_with(*tensors).SerializeToString())
        text = encode(model, self._folder / "g.graphml", parameters="embedded").graphml.read_text("utf-8")
        for name in ("model.onnx", "g.graphml"):
            (self._folder / name).unlink()
        return text

    def make(self, number: int) -> bytes:
        """A model with up to three tensors with external data, or a graph that names other data files."""
        rng = random.Random(number)
        if rng.random() < 0.6:
            tensors = [self._tensor(f"w{index}", rng) for index in range(rng.choice((1, 1, 2, 3)))]
            return b"model\n" + model_with(*tensors).SerializeToString()
        match = _FILES.search(self._text)
        assert match is not None
        files = json.loads(match[2].replace("&quot;", '"'))
        for file in rng.sample(files, rng.randint(1, len(files))):
            file["location"] = rng.choice(_LOCATIONS)
        text = json.dumps(files).replace("&", "&amp;").replace("<", "&lt;")
        return b"graph\n" + (self._text[: match.start(2)] + text + self._text[match.end(2) :]).encode()

    def _tensor(self, name: str, rng: random.Random) -> TensorProto:
        location = rng.choice(_LOCATIONS if rng.random() < 0.5 else ("w.bin", "in/deep/w.bin"))
        numbers = {key: rng.choice(_NUMBERS) for key in ("offset", "length") if rng.random() < 0.4}
        tensor = external(name, location.encode("utf-8", "replace").decode(), rng.choice((1, 10, 512)), **numbers)
        if rng.random() < 0.1:
            key, value = rng.choice((("location", "w.bin"), ("offset", "0"), ("checksum", "x"), ("", "")))
            tensor.external_data.add(key=key, value=value)
        return tensor

    def attempt(self, number: int) -> str:
        """See `Target`."""
        return self.check(self.make(number))

    def check(self, data: bytes) -> str:
        """See `InputTarget`; the options depend on the data, so that these alone say what happens."""
        kind, _, content = data.partition(b"\n")
        rng = random.Random(zlib.crc32(data))
        try:
            with scratch.no_waiting():
                return self._encode(content, rng) if kind == b"model" else self._decode(content, rng)
        except GraphmlOnnxError as error:
            return f"refused ({check_complete(error, _KINDS)})"
        finally:
            self._clear()

    def _encode(self, content: bytes, rng: random.Random) -> str:
        model = self._folder / "model.onnx"
        model.write_bytes(content)
        encoded = encode(model, self._folder / "g.graphml", parameters=rng.choice(_STRATEGIES))
        back = self._out / "back.onnx"
        result = decode(encoded.graphml, back)
        assert result.exact
        assert back.read_bytes() == content
        for path in result.external:
            assert path.read_bytes() == (self._folder / path.relative_to(self._out)).read_bytes()
        return "came back"

    def _decode(self, content: bytes, rng: random.Random) -> str:
        graph = self._folder / "g.graphml"
        graph.write_bytes(content)
        decode(graph, self._out / "back.onnx", overwrite=rng.random() < 0.5)
        return "decoded"

    def _states(self) -> dict[str, tuple[int, int, int]]:
        """All that is there: inode, size and time of the last change."""
        root = self._folder.parent
        states = {name: os.lstat(root / name) for name in scratch.names(root)}
        return {
            name: (state.st_ino, 0, 0)
            if stat.S_ISDIR(state.st_mode)
            else (state.st_ino, state.st_size, state.st_mtime_ns)
            for name, state in states.items()
        }

    def _clear(self) -> None:
        """Takes away what was made, and makes sure that nothing else was changed."""
        found = self._states()
        changed = sorted(name for name, state in self._left.items() if found.get(name) != state)
        made = found.keys() - self._left.keys()
        for name in sorted(made, reverse=True):
            path = self._folder.parent / name
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        assert changed == []
        assert [name for name in made if not name.startswith(("given/", "out/")) or "g2o-tmp" in name] == []
