"""The target ``bitflips``: one bit of a sidecar is flipped, and decode finds out."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphml_onnx import PayloadError, decode, encode
from tests.campaign import scratch
from tests.campaign.graphs import SMALL
from tests.common import seeds

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """A graph and its sidecar, as they should be."""

    graph: Path
    sidecar: Path
    content: bytes


class BitFlips:
    """Every bit of the small sidecars in turn, then random bits of a larger one.

    Args:
        folder: where to work.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._out = folder / "out"
        self._out.mkdir()
        small = seeds.small_models()
        models = {name: small[name] for name in ("large", "training")}
        models |= {name: (SMALL / f"{name}.onnx").read_bytes() for name in ("quantised", "functions")}
        self._pairs = [self._pair(name, data) for name, data in models.items()]
        self._large = self._pair("resnet", seeds.fixtures()["modelexport-resnet-mini"])

    def _pair(self, name: str, data: bytes) -> Pair:
        model = self._folder / f"{name}.onnx"
        model.write_bytes(data)
        result = encode(model, self._folder / f"{name}.graphml")
        assert result.sidecar is not None
        return Pair(result.graphml, result.sidecar, result.sidecar.read_bytes())

    def attempt(self, number: int) -> str:
        """See `Target`; each number is another bit, until all bits of the small sidecars are through."""
        rest = number
        for pair in self._pairs:
            if rest < 8 * len(pair.content):
                return self._flip(pair, rest)
            rest -= 8 * len(pair.content)
        return self._flip(self._large, random.Random(number).randrange(8 * len(self._large.content)))

    def _flip(self, pair: Pair, bit: int) -> str:
        changed = bytearray(pair.content)
        changed[bit // 8] ^= 1 << bit % 8
        pair.sidecar.write_bytes(changed)
        try:
            with scratch.no_waiting():
                decode(pair.graph, self._out / "model.onnx")
        except PayloadError as error:
            return self._detected(pair, error)
        finally:
            pair.sidecar.write_bytes(pair.content)
        raise AssertionError(f"bit {bit} of {pair.sidecar.name} was flipped, and nobody noticed")

    def _detected(self, pair: Pair, error: PayloadError) -> str:
        """Makes sure that it is the right error, and that nothing was written."""
        assert error.file == str(pair.sidecar)
        assert not scratch.names(self._out)
        header = "header" in error.message
        assert header or "SHA-256" in error.message, error
        return "detected in the header" if header else "detected by a digest"
