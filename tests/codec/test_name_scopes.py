"""Edges equal what an evaluation of ONNX's name rules gives that shares nothing with the package."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from graphml_onnx import decode, encode, to_networkx, validate

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NAMES = st.sampled_from(["a", "b", "c", "d"])  # so few that bodies hide each other's names all the time


@st.composite
def graphs(draw: st.DrawFn, depth: int = 2) -> onnx.GraphProto:
    """A graph that defines names in every way there is, also twice, and uses some that nobody defines."""
    some = st.lists(NAMES, max_size=2)
    graph = onnx.GraphProto(name="g")
    for kind in (graph.input, graph.output):
        kind.extend([helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in draw(some)])
    graph.initializer.extend([tensor(name) for name in draw(some)])
    for name in draw(some):
        graph.sparse_initializer.add(values=tensor(name), indices=helper.make_tensor("", 7, [1], [0]), dims=[1])
    for _ in range(draw(st.integers(0, 3))):
        node = graph.node.add(op_type="Sum", input=draw(some), output=draw(some))
        for _ in range(draw(st.integers(0, 2)) if depth else 0):
            node.attribute.add(name="body", type=onnx.AttributeProto.GRAPH).g.CopyFrom(draw(graphs(depth - 1)))
    return graph


def tensor(name: str) -> TensorProto:
    return helper.make_tensor(name, TensorProto.FLOAT, [1], [1.0])


@st.composite
def models(draw: st.DrawFn) -> onnx.ModelProto:
    model = onnx.ModelProto(ir_version=draw(st.sampled_from([3, 8])), graph=draw(graphs()))
    for index in range(draw(st.integers(0, 1))):
        inner = draw(graphs(1))
        names = draw(st.lists(NAMES, max_size=2))
        model.functions.add(name=f"f{index}", domain="d", input=names, output=["a"], node=inner.node)
    return model


class Thing(NamedTuple):
    """What defines or uses a name: the path of its graph, its kind, and its place there."""

    graph: str
    kind: str
    index: int


def expected(model: onnx.ModelProto, *, shown: bool) -> Counter[tuple[Thing, Thing, str]]:
    found: Counter[tuple[Thing, Thing, str]] = Counter()
    for edge in _of_graph(model.graph, "main", {}, shown=shown, old=model.ir_version < 4):
        found[edge] += 1
    for index, function in enumerate(model.functions):
        known: dict[str, Thing | None] = dict.fromkeys(function.input)
        for edge in _of_nodes(function.node, f"f{index}", known, shown=shown, old=model.ir_version < 4):
            found[edge] += 1
    return found


def _of_graph(
    graph: onnx.GraphProto, path: str, around: Mapping[str, Thing | None], *, shown: bool, old: bool
) -> Iterator[tuple[Thing, Thing, str]]:
    own: dict[str, Thing | None] = {}
    weights = {tensor.name for tensor in graph.initializer} | {
        sparse.values.name for sparse in graph.sparse_initializer
    }
    shown_inputs = [value.name for value in graph.input if not (old and value.name in weights)]
    for index, name in enumerate(shown_inputs):
        own.setdefault(name, Thing(path, "input", index))
    for index, initializer in enumerate(graph.initializer):
        own.setdefault(initializer.name, Thing(path, "parameter", index) if shown else None)
    for sparse in graph.sparse_initializer:
        own.setdefault(sparse.values.name, None)
    known = yield from _of_nodes(graph.node, path, {**around}, own, shown=shown, old=old)
    for index, value in enumerate(graph.output):
        if known.get(value.name):
            yield known[value.name], Thing(path, "output", index), value.name


def _of_nodes(nodes, path, around, own=None, *, shown, old):  # type: ignore[no-untyped-def]
    own = dict(around) if own is None else own
    known = {**around, **own}
    for index, node in reversed(list(enumerate(nodes))):
        known |= {name: Thing(path, "op", index) for name in node.output if name not in own}
    for index, node in enumerate(nodes):
        for name in node.input:
            if known.get(name):
                yield known[name], Thing(path, "op", index), name
        for number, attribute in enumerate(node.attribute):
            yield from _of_graph(attribute.g, f"{path}/{index}.{number}", known, shown=shown, old=old)
    return known


def drawn(path: Path) -> Counter[tuple[Thing, Thing, str]]:
    """The edges of the file, by where their ends stand."""
    graph = to_networkx(path)

    def thing(node: str) -> Thing:
        data = graph.nodes[node]
        return Thing(place(data.get("parent")), data["kind"], index_of(node))

    def index_of(node: str) -> int:
        """How many nodes of its list stand before it."""
        count = 0
        while graph.nodes[node]["kind"] == graph.nodes[graph.nodes[node]["after"]]["kind"]:
            node, count = graph.nodes[node]["after"], count + 1
        return count

    def place(parent: str | None) -> str:
        data = {} if parent is None else graph.nodes[parent]
        kind = data.get("kind", "model")
        if kind == "model":
            return "main"
        if kind == "function":
            return f"f{index_of(parent or '')}"
        if kind == "subgraph":
            operator = graph.nodes[data["parent"]]
            return f"{place(operator['parent'])}/{index_of(data['parent'])}.{data['index']}"
        return place(data["parent"])

    return Counter(
        (thing(source), thing(target), data["tensor_name"]) for source, target, data in graph.edges(data=True)
    )


@given(model=models(), shown=st.booleans())
def test_edges_follow_the_rules_of_names(
    tmp_path_factory: pytest.TempPathFactory, model: onnx.ModelProto, shown: bool
) -> None:
    folder = tmp_path_factory.mktemp("scopes")
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    graph = encode(path, folder / "graph.graphml", show_parameters=shown).graphml
    assert drawn(graph) == expected(model, shown=shown)
    for trust in (None, "edges"):
        back = decode(graph, folder / "back.onnx", trust=trust, overwrite=True).onnx
        assert back.read_bytes() == path.read_bytes()
    assert not {finding.code for finding in validate(graph)} & {"edge-mismatch", "stale-edge", "edited", "weight-input"}


@pytest.mark.parametrize(("ir_version", "inputs"), [(3, 1), (4, 2), (None, 2)])
def test_a_weight_among_the_inputs_is_no_input_before_ir_version_4(
    tmp_path: Path, ir_version: int | None, inputs: int
) -> None:
    value = helper.make_tensor_value_info
    model = onnx.ModelProto()
    if ir_version is not None:
        model.ir_version = ir_version
    nodes = [helper.make_node("Mul", ["w", "x"], ["y"])]
    sides = [[value(name, TensorProto.FLOAT, [1]) for name in names] for names in (("w", "x"), ("y",))]
    model.graph.CopyFrom(helper.make_graph(nodes, "g", *sides, [tensor("w")]))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    graph = encode(tmp_path / "model.onnx", tmp_path / "graph.graphml").graphml
    text = graph.read_text("utf-8")
    assert text.count('<data key="kind">input</data>') == inputs
    assert ("(has a default)" in text) == (inputs == 2)
    if inputs == 1:  # an edit of the list of weights is an edit of the inputs
        edited = re.sub(r'("key="weight_inputs">|"name":)"w"(,"type")', r'\1"v"\2', text, count=1)
        assert edited != text
        graph.write_text(edited, "utf-8")
        back = onnx.load(decode(graph, tmp_path / "back.onnx").onnx)
        assert [item.name for item in back.graph.input] == ["v", "x"]
        assert "weight-input" in {finding.code for finding in validate(graph)}
