"""GraphML made to do harm: findings, never anything else, and never much memory."""

from __future__ import annotations

import tracemalloc
from typing import TYPE_CHECKING

import onnx
import pytest
from onnx import TensorProto, helper

from graphml_onnx import InputError, ParameterStrategy, encode, validate
from tests.faults import test_hostile_graphs
from tests.validation.broken_graphs import Broken, codes

if TYPE_CHECKING:
    from pathlib import Path

SLOW = {"20,000 bodies"}  # for which there are smaller ones


@pytest.mark.parametrize("name", [name for name in test_hostile_graphs.REFUSED if name not in SLOW])
def test_what_decode_refuses_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "s").write_bytes(bytes(8))
    graph = tmp_path / "graph.graphml"
    graph.write_text(test_hostile_graphs.REFUSED[name][0], "utf-8", errors="surrogatepass")
    found = validate(graph)
    assert any(finding.severity == "error" and finding.remedy for finding in found)
    assert all("\n" not in finding.message for finding in found)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if "20,000 operators" in name else ())
        for name in test_hostile_graphs.ACCEPTED
    ],
)
def test_what_decode_takes_can_come_back(tmp_path: Path, name: str) -> None:
    graph = tmp_path / "graph.graphml"
    graph.write_text(test_hostile_graphs.ACCEPTED[name], "utf-8")
    assert "not-decodable" not in codes(validate(graph))


def test_a_file_that_is_cut_off_anywhere(broken: Broken) -> None:
    data = broken.path.read_bytes()
    for length in range(0, len(data) - 1, max(1, len(data) // 150)):
        broken.path.write_bytes(data[:length])
        assert codes(validate(broken.path)) & {"not-well-formed", "not-graphml"}, length


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "not-graphml"),
        (b"\x89PNG\r\n\x1a\n", "not-graphml"),
        (b"PK\x03\x04", "not-graphml"),
        (b"\x08\x09\x12\x07pytorch", "not-graphml"),  # an ONNX model
        (b"plain text", "not-well-formed"),
        (b"\xff\xfe<\0g\0", "encoding"),
        (b"\xfe\xff\0<\0g", "encoding"),
        (b"<graphml>\xff</graphml>", "not-well-formed"),
        (b"<graphml/>", "foreign"),
        (b'<?xml version="1.0" encoding="UTF-7"?><graphml/>', "encoding"),
        (b"<!DOCTYPE g [<!ENTITY a SYSTEM 'file:///etc/hostname'>]><graphml>&a;</graphml>", "doctype"),
    ],
)
def test_what_is_no_graphml(tmp_path: Path, content: bytes, code: str) -> None:
    graph = tmp_path / "graph.graphml"
    graph.write_bytes(content)
    (finding,) = validate(graph)
    assert (finding.code, finding.severity) == (code, "error")


def test_a_file_that_is_missing_is_an_exception(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        validate(tmp_path / "missing.graphml")
    with pytest.raises(InputError, match="is a directory"):
        validate(tmp_path)


@pytest.mark.parametrize("parameters", ["sidecar", "embedded", "reference"])
def test_memory_does_not_grow_with_the_weights(tmp_path: Path, parameters: ParameterStrategy) -> None:
    size = 48 << 20
    weight = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[size // 4], raw_data=bytes(size))
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, [size // 4])
    graph = helper.make_graph([helper.make_node("Neg", ["w"], ["y"])], "large", [], [value], [weight])
    onnx.save(helper.make_model(graph), tmp_path / "model.onnx")
    encoded = encode(tmp_path / "model.onnx", tmp_path / "graph.graphml", parameters=parameters)
    tracemalloc.start()
    try:
        assert validate(encoded.graphml) == []
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < size // 2


GRAPHML = '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">'
PORTS = "".join(f'<node id="n{number}"><port name="p"/></node>' for number in range(200))
EDGE = '<edge source="n0" target="n1" sourceport="p"/>'
HYPEREDGE = '<hyperedge><endpoint node="n0"/><endpoint node="n1"/></hyperedge>'
KIND = '<key id="d0" for="node" attr.name="kind" attr.type="string"/>'
COLOR = KIND.replace("kind", "color")


@pytest.mark.parametrize(
    ("keys", "content"),
    [
        ("", PORTS + EDGE + HYPEREDGE),
        ("", '<node id="a"><data key="x">1</data></node>'),
        (COLOR, PORTS + EDGE),
        (COLOR, '<node id="a"/><node id="a"/><edge source="a" target="gone"/>'),
        (KIND, PORTS.replace("<port", '<data key="d0">person</data><port') + EDGE),
    ],
    ids=["ports without keys", "values without keys", "ports", "an edge to nowhere", "kinds of its own"],
)
def test_foreign_graphml_is_one_finding(tmp_path: Path, keys: str, content: str) -> None:
    graph = tmp_path / "graph.graphml"
    graph.write_text(f'{GRAPHML}{keys}<graph edgedefault="directed">{content}</graph></graphml>', "utf-8")
    (finding,) = validate(graph)
    assert (finding.code, finding.severity) == ("foreign", "error")


def test_a_model_that_is_not_sorted_at_all_is_told_in_few_lines(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", [f"t{k}"], [f"t{k - 1}" if k else "y"]) for k in range(30)]
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("t29", "y")]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", ends[:1], ends[1:])), tmp_path / "model.onnx")
    encode(tmp_path / "model.onnx", tmp_path / "graph.graphml")
    told = [finding.message for finding in validate(tmp_path / "graph.graphml") if finding.code == "not-sorted"]
    assert len(told) == 6
    assert told[-1].startswith("24 more inputs")
