"""The target ``metadata``: hostile HTP metadata, and operators that tell hostile things of themselves.

An input is a line with the operators, and then the metadata, if any. An operator is a JSON list: its name, its tag, and
what its exporter wrote, `Texts`.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

from graphml_onnx import MetadataError
from graphml_onnx.hierarchy import Graph, Operator, Texts, build_hierarchy, read_metadata
from tests.campaign import hostile_json
from tests.campaign.complete import check_complete
from tests.campaign.graphs import METADATA
from tests.common import seeds

if TYPE_CHECKING:
    from pathlib import Path

    from graphml_onnx.hierarchy import Hierarchy, HtpMetadata

_SEGMENTS = (
    "", "a", "b", "A", "layer", "layer.0", "layer.0.attention", "0", "1", "MatMul", "MatMul_1", "M", "model", "é", "\0",
    "a" * 200, "..", ".", " ", "a/b", "'", '"', "\\", "[", "]", ":", ",", "_empty_nn_module_stack_from_metadata_hook",
    "If_0/then_branch", "Loop__1", "layer.0_1",
)  # fmt: skip
_SEPARATORS = ("/", "/", "/", ".", "::", "//", ": ")
_FINDINGS = 200


class Hierarchies:
    """Each operator has one place in a tree of modules, or there is the library's own error.

    Args:
        folder: is not used.
    """

    def __init__(self, folder: Path) -> None:
        del folder
        texts = [path.read_text("utf-8") for path in sorted(seeds.FIXTURES.glob("*/*.json"))]
        named = [list(json.loads(text)["nodes"].items()) for text in texts]
        self._sources = [(json.dumps(METADATA), list(METADATA["nodes"].items()))] * 20  # type: ignore[attr-defined]
        self._sources += list(zip(texts, named, strict=True))

    def make(self, number: int) -> bytes:
        """Metadata with changes, or none, and operators of that model and others."""
        rng = random.Random(number)
        text, named = rng.choice(self._sources)
        operators = [_operator(rng, named) for _ in range(rng.choice((0, 1, 3, 8, 30)))]
        content = hostile_json.mutant(text, rng) if rng.random() < 0.5 else ""
        return (json.dumps(operators) + "\n" + content).encode("utf-8", "surrogatepass")

    def attempt(self, number: int) -> str:
        """See `Target`."""
        return self.check(self.make(number))

    def check(self, data: bytes) -> str:
        """See `InputTarget`."""
        first, _, content = data.partition(b"\n")
        operators = [operator_of(*fields) for fields in json.loads(first)]
        metadata: HtpMetadata | None = None
        if content:
            try:
                metadata = read_metadata(content, "m.json")
            except MetadataError as error:
                return f"refused ({check_complete(error, (MetadataError,))})"
        hierarchy = build_hierarchy(Graph(operators), metadata)
        _check(hierarchy, len(operators))
        return f"from {hierarchy.source}"


def operator_of(name: str, tag: str | None = None, *texts: str | None) -> Operator:
    """An operator of an input."""
    return Operator(name, tag, Texts(*texts) if any(text is not None for text in texts) else None)


def _operator(rng: random.Random, named: list[tuple[str, str]]) -> list[str | None]:
    name, tag = rng.choice(named)
    said: list[str | None] = [rng.choice((name, _path(rng))), None, None, None, None]
    if rng.random() < 0.2:
        said[1] = rng.choice((tag, _path(rng)))
    if rng.random() < 0.3:
        steps = [_path(rng) for _ in range(rng.randint(0, 5))]
        classes = [_path(rng) for _ in range(rng.choice((len(steps), len(steps), 2)))]
        said[2], said[3] = _spoiled(repr(steps), rng), _spoiled(repr(classes), rng)
        said[4] = "/".join(f"{scope}: {name}" for scope, name in zip(steps, classes, strict=False))
    return said


def _path(rng: random.Random) -> str:
    separator = rng.choice(_SEPARATORS)
    return rng.choice(("", separator)) + separator.join(rng.choice(_SEGMENTS) for _ in range(rng.randint(0, 6)))


def _spoiled(text: str, rng: random.Random) -> str:
    return hostile_json.spoiled(text, rng) if rng.random() < 0.2 else text


def _check(hierarchy: Hierarchy, operators: int) -> None:
    assert sum(hierarchy.rules.values()) == operators
    assert len(hierarchy.placement) == operators
    assert all(-1 <= index < len(hierarchy.modules) for index in hierarchy.placement)
    for index, module in enumerate(hierarchy.modules):
        assert module.parent is None or 0 <= module.parent < index
        assert module.tag
    assert 0 <= hierarchy.coverage <= 100
    assert len(hierarchy.findings) < _FINDINGS
