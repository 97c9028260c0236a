"""The specification and the code say the same: the example in docs/format.md is what the encoder writes."""

from __future__ import annotations

import re
from pathlib import Path

import onnx
import pytest

import graphml_onnx
from graphml_onnx.codec.keys import FORMAT_VERSION, KEYS, KEYS_OF_KIND

SPECIFICATION = (Path(__file__).parents[2] / "docs" / "format.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)\n```$", SPECIFICATION, re.DOTALL | re.MULTILINE)


@pytest.fixture
def model() -> onnx.ModelProto:
    names: dict[str, onnx.ModelProto] = {}
    exec(blocks("python")[0], names)  # the documentation's own code
    return names["model"]


def test_the_flat_example_is_what_encode_writes(model: onnx.ModelProto, tmp_path: Path) -> None:
    result = graphml_onnx.encode(model, tmp_path / "tiny.graphml", layout="flat")
    assert result.graphml.read_text(encoding="utf-8") == blocks("xml")[0] + "\n"


def test_the_flat_example_decodes_to_the_model(model: onnx.ModelProto, tmp_path: Path) -> None:
    graphml = tmp_path / "tiny.graphml"
    graphml.write_text(blocks("xml")[0], encoding="utf-8")
    result = graphml_onnx.decode(graphml)
    assert result.exact
    assert result.onnx.read_bytes() == model.SerializeToString()


def test_the_nested_excerpt_stands_in_what_encode_writes(model: onnx.ModelProto, tmp_path: Path) -> None:
    result = graphml_onnx.encode(model, tmp_path / "tiny.graphml")
    assert blocks("xml")[1] in result.graphml.read_text(encoding="utf-8")


def test_the_table_of_keys_is_that_of_the_code() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (truth|derived) \| (.*?) \| (.*) \|$", SPECIFICATION, re.MULTILINE)
    assert [(name, kind == "truth", meaning) for name, kind, _, meaning in rows] == [
        (name, info.truth, info.meaning) for name, info in KEYS.items()
    ]
    for name, kind, on, _ in rows:
        if kind == "truth":
            kinds = set(KEYS_OF_KIND) if on == "all" else set(on.split(", "))
            assert {k for k, keys in KEYS_OF_KIND.items() if name in keys} == kinds, name


def test_the_version_is_that_of_the_code() -> None:
    assert SPECIFICATION.startswith(f"# The GraphML format, version {FORMAT_VERSION}\n")
