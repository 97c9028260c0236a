"""Row 28 of the survival table: a graph that another tool has saved still gives the identical model."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from lxml import etree

from graphml_onnx import decode, encode
from tests.common import seeds
from tests.editing import rewriting
from tests.strategies import wire

if TYPE_CHECKING:
    from graphml_onnx import ParameterStrategy

FIXTURE = "modelexport-resnet-mini"
SMALL = ("typed", "large", "sparse", "if", "function", "training")
FIXTURES = seeds.fixtures()
KEPT: tuple[ParameterStrategy, ...] = ("sidecar", "embedded")


@cache
def models() -> dict[str, bytes]:
    small = seeds.small_models()
    return {name: small[name] for name in SMALL} | {"not canonical": not_canonical()} | FIXTURES


def not_canonical() -> bytes:
    """Fields in another order, a number that is over-long, a field that ONNX does not know."""
    fields = wire.parse(seeds.small_models()["large"])
    unknown = wire.Field(999, wire.BYTES, b"not known")
    return wire.serialise((unknown, *(field._replace(wide_tag=1) for field in reversed(fields))))


class Pair(NamedTuple):
    """A graph in a folder, and the model that it comes from."""

    graph: Path
    model: bytes


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Pair]:
    """Each model, with its payloads beside the graph and in it."""
    made = {}
    for name, data in models().items():
        for kept in KEPT:
            folder = tmp_path_factory.mktemp("pair")
            (folder / "model.onnx").write_bytes(data)
            metadata = seeds.FIXTURES / name / "model_htp_metadata.json" if name in FIXTURES else None
            result = encode(folder / "model.onnx", folder / "graph.graphml", metadata=metadata, parameters=kept)
            assert (result.residue_bytes > 0) == (name == "not canonical")
            made[name, kept] = Pair(result.graphml, data)
    return made


def comes_back(pair: Pair, saved: bytes) -> None:
    """Decodes what a tool saved in the place of the graph."""
    file = pair.graph.with_name("saved.graphml")
    file.write_bytes(saved)
    result = decode(file, pair.graph.with_name("again.onnx"), overwrite=True)

    assert result.exact
    assert result.findings == ()
    assert result.onnx.read_bytes() == pair.model


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("name", [*SMALL, "not canonical", FIXTURE])
def test_each_habit_alone(pairs: dict[tuple[str, str], Pair], name: str, kept: str) -> None:
    pair = pairs[name, kept]
    original = pair.graph.read_bytes()
    for number, habit in enumerate(rewriting.HABITS):
        saved = rewriting.rewritten(original, [habit], random.Random(number))
        assert etree.tostring(etree.fromstring(saved), method="c14n") != etree.tostring(
            etree.fromstring(original), method="c14n"
        ) or habit in ("in_cdata", "attributes_reordered", "flattened"), habit
        comes_back(pair, saved)
    for change in rewriting.FILE_HABITS.values():
        comes_back(pair, change(original))


@pytest.mark.parametrize("kept", KEPT)
@pytest.mark.parametrize("name", models())
def test_all_habits_together(pairs: dict[tuple[str, str], Pair], name: str, kept: str) -> None:
    pair = pairs[name, kept]
    habits = [habit for habit in rewriting.HABITS if habit not in ("without_derived", "indented")]
    saved = rewriting.rewritten(pair.graph.read_bytes(), habits, random.Random(name))
    comes_back(pair, rewriting.with_prefixes(rewriting.with_crlf(saved)))

    bare = rewriting.rewritten(saved, ["without_derived", "shuffled", "indented"], random.Random(name))
    comes_back(pair, rewriting.with_crlf(rewriting.in_ascii(bare)))


@pytest.mark.parametrize("layout", ["nested", "flat"])
@pytest.mark.parametrize("name", models())
def test_networkx_reads_and_writes(tmp_path: Path, name: str, layout: str) -> None:
    (tmp_path / "model.onnx").write_bytes(models()[name])
    graph = encode(tmp_path / "model.onnx", tmp_path / "graph.graphml", layout=layout).graphml
    once = rewriting.through_networkx(graph.read_bytes())
    comes_back(Pair(graph, models()[name]), once)
    comes_back(Pair(graph, models()[name]), rewriting.through_networkx(once))
