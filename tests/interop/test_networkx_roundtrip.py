"""A model as a networkx graph comes back bit for bit, however the graph was copied, relabelled, or saved."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import warnings
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphml_onnx import (
    GraphMLError,
    GraphmlOnnxError,
    ModelError,
    PayloadError,
    UsageError,
    as_text,
    encode,
    from_networkx,
    to_networkx,
)
from tests.common import seeds
from tests.roundtrip.test_suites import node_models
from tests.strategies.models import model_bytes

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphml_onnx.results import Layout, ParameterStrategy, Trust

FIXTURES = Path(__file__).parents[2] / "fixtures"
MODELS = sorted(path.relative_to(FIXTURES).as_posix() for path in FIXTURES.rglob("*.onnx"))
TRUSTS: tuple[Trust | None, ...] = (None, "nodes", "edges")
EXTERNAL = "small/external_data/model.onnx"


def written(graph: nx.DiGraph[str]) -> bytes:
    """What networkx writes of a graph, whose values are text."""
    file = io.BytesIO()
    nx.write_graphml(graph, file)
    return file.getvalue()


def read(graphml: bytes) -> nx.DiGraph[str]:
    return nx.read_graphml(io.BytesIO(graphml))


@given(data=model_bytes(), show_parameters=st.booleans(), trust=st.sampled_from(TRUSTS))
def test_any_model_comes_back(data: bytes, show_parameters: bool, trust: Trust | None) -> None:
    model = onnx.ModelProto.FromString(data)
    graph = to_networkx(model, show_parameters=show_parameters)
    assert from_networkx(graph, trust=trust).SerializeToString() == model.SerializeToString()


@given(data=model_bytes())
def test_any_model_comes_back_as_text(data: bytes) -> None:
    model = onnx.ModelProto.FromString(data)
    graph = read(written(as_text(to_networkx(model))))
    assert from_networkx(graph).SerializeToString() == model.SerializeToString()


@pytest.mark.parametrize("trust", TRUSTS)
@pytest.mark.parametrize("name", MODELS)
def test_a_file_comes_back(name: str, trust: Trust | None) -> None:
    graph = to_networkx(FIXTURES / name)
    assert from_networkx(graph, trust=trust).SerializeToString() == (FIXTURES / name).read_bytes()
    assert "parameter_data" not in model_node(graph)


@pytest.mark.parametrize("name", [name for name in MODELS if name != EXTERNAL])
def test_a_model_in_memory_comes_back(name: str) -> None:
    model = onnx.ModelProto.FromString((FIXTURES / name).read_bytes())
    graph = to_networkx(model, show_parameters=True)
    assert from_networkx(graph) == model
    copy = read(written(as_text(graph)))
    assert from_networkx(copy) == model


@pytest.mark.parametrize("parameters", ["sidecar", "embedded", "reference"])
@pytest.mark.parametrize("layout", ["nested", "flat", "plain"])
@pytest.mark.parametrize("name", ["htp/winml-bert-mini-dynamo", "htp/modelexport-resnet-mini"])
def test_a_graphml_file_comes_back(name: str, layout: Layout, parameters: ParameterStrategy, tmp_path: Path) -> None:
    model = Path(shutil.copy(FIXTURES / name / "model.onnx", tmp_path))
    graphml = encode(model, layout=layout, parameters=parameters).graphml
    graph = to_networkx(graphml)

    assert from_networkx(graph).SerializeToString() == model.read_bytes()
    assert graph.number_of_edges() == to_networkx(model).number_of_edges()
    assert dict(graph.nodes(data="op_type")) == dict(to_networkx(model).nodes(data="op_type"))


@pytest.mark.parametrize("layout", ["nested", "flat"])
@pytest.mark.parametrize("name", MODELS)
def test_what_networkx_itself_reads_comes_back(name: str, layout: Layout, tmp_path: Path) -> None:
    model = FIXTURES / name
    result = encode(model, tmp_path / "graph.graphml", layout=layout)
    graph = nx.read_graphml(result.graphml)
    assert from_networkx(graph, parameter_folder=tmp_path).SerializeToString() == model.read_bytes()
    again = read(written(graph))
    assert from_networkx(again, parameter_folder=tmp_path, trust="edges").SerializeToString() == model.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("trust", TRUSTS)
def test_the_suites_come_back(trust: Trust | None) -> None:
    for data in [*node_models(), *seeds.onnx_files().values()]:
        model = onnx.ModelProto.FromString(data)
        assert from_networkx(to_networkx(model), trust=trust).SerializeToString() == data


def model_node(graph: nx.DiGraph[str]) -> dict[str, object]:
    return next(data for data in graph.nodes.values() if data["kind"] == "model")


@pytest.fixture(params=["file", "memory", "graphml"])
def bert(request: pytest.FixtureRequest, tmp_path: Path) -> nx.MultiDiGraph[str]:
    path = FIXTURES / "htp/winml-bert-mini-dynamo/model.onnx"
    if request.param == "memory":
        return to_networkx(onnx.load(path))
    return to_networkx(path if request.param == "file" else encode(path, tmp_path / "bert.graphml").graphml)


def test_copies_and_relabelled_graphs_hold_the_weights(bert: nx.MultiDiGraph[str]) -> None:
    expected = from_networkx(bert)
    copies = [
        bert.copy(),
        nx.MultiDiGraph(bert),
        nx.relabel_nodes(bert, {node: f"{data['kind']} {node}" for node, data in bert.nodes(data=True)}),
        nx.convert_node_labels_to_integers(bert),
        bert.subgraph(list(bert)).copy(),
        nx.compose(nx.MultiDiGraph(), bert),
        nx.freeze(bert.copy()),
    ]
    assert [from_networkx(copy) == expected for copy in copies] == [True] * len(copies)


def test_the_graph_is_small_and_not_changed(bert: nx.MultiDiGraph[str]) -> None:
    before = {node: repr(data) for node, data in bert.nodes(data=True)}
    from_networkx(bert)
    assert {node: repr(data) for node, data in bert.nodes(data=True)} == before


def test_what_computations_leave_in_a_graph_is_passed_over(bert: nx.MultiDiGraph[str]) -> None:
    expected = from_networkx(bert)
    nx.set_node_attributes(bert, nx.pagerank(nx.DiGraph(bert)), "rank")
    nx.set_node_attributes(bert, None, "doc_string")
    nx.set_edge_attributes(bert, 1.5, "weight")
    assert from_networkx(bert) == expected


@pytest.mark.parametrize("trust", TRUSTS)
def test_one_edge_of_a_simple_graph_is_all_that_flows_between_two_nodes(trust: Trust | None) -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        several (float[2] x) => (float[5] y) {
            [split] a, b = Split (x)
            [twice] c = Mul (x, x)
            [joined] y = Concat <axis = 0> (a, b, a, c, b)
        }"""
    )
    graph = nx.DiGraph(to_networkx(model))
    assert graph.number_of_edges() == 5
    assert from_networkx(graph, trust=trust) == model
    assert from_networkx(read(written(nx.DiGraph(as_text(to_networkx(model))))), trust=trust) == model


def test_a_simple_graph_of_a_model_that_defines_a_tensor_twice_comes_back() -> None:
    model = onnx.helper.make_model(
        onnx.helper.make_graph(
            [onnx.helper.make_node("Relu", ["x"], ["x"]), onnx.helper.make_node("Mul", ["x", "x"], ["x"])], "g", [], []
        )
    )
    model.graph.input.add(name="x")
    assert from_networkx(nx.DiGraph(to_networkx(model))) == model


def test_an_edge_of_a_simple_graph_can_go() -> None:
    model = onnx.parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17]>
        twice (float[2] x) => (float[2] y) {
            r = Relu (x)
            y = Mul (x, x)
        }"""
    )
    graph = nx.DiGraph(to_networkx(model))
    relu, mul = (node for node, data in graph.nodes(data=True) if data["kind"] == "op")
    graph.remove_edge(*next(iter(graph.in_edges(mul))))
    graph.add_edge(relu, mul)
    assert list(from_networkx(graph, trust="edges").graph.node[1].input) == ["r"]


def as_node_link(graph: nx.DiGraph[str]) -> nx.DiGraph[str]:
    return nx.node_link_graph(json.loads(json.dumps(nx.node_link_data(graph))))


def as_cytoscape(graph: nx.DiGraph[str]) -> nx.DiGraph[str]:
    return nx.cytoscape_graph(json.loads(json.dumps(nx.cytoscape_data(graph))))


def as_gexf(graph: nx.DiGraph[str]) -> nx.DiGraph[str]:
    file = io.BytesIO()
    nx.write_gexf(graph, file)
    return nx.read_gexf(io.BytesIO(file.getvalue()))


def as_gml(graph: nx.DiGraph[str]) -> nx.DiGraph[str]:
    return nx.parse_gml(list(nx.generate_gml(graph)))


@pytest.mark.parametrize("through", [as_node_link, as_cytoscape, as_gexf, as_gml])
@pytest.mark.parametrize("name", ["htp/winml-bert-mini-dynamo/model.onnx", "small/loops.onnx", "small/functions.onnx"])
def test_text_of_a_graph_goes_through_other_formats(
    name: str, through: Callable[[nx.DiGraph[str]], nx.DiGraph[str]]
) -> None:
    """Some of them name nodes that have no name: only in a graph of text can that be told from a name."""
    graph = as_text(to_networkx(FIXTURES / name))
    assert from_networkx(through(graph)).SerializeToString() == (FIXTURES / name).read_bytes()


@pytest.mark.parametrize("prepare", [nx.MultiDiGraph, as_text])
def test_a_graph_comes_back_from_tables(prepare: Callable[[nx.DiGraph[str]], nx.DiGraph[str]]) -> None:
    """As pandas keeps them: a column for each key, NaN where nothing stands, and floats in columns with NaN."""
    graph = prepare(to_networkx(FIXTURES / "small/loops.onnx"))
    rows = [*graph.nodes.values(), *graph.edges.values()]
    columns = {key for row in rows for key in row}
    for row in rows:
        for key in columns:
            value = row.get(key, float("nan"))
            row[key] = float(value) if isinstance(value, int) else value
    assert from_networkx(graph).SerializeToString() == (FIXTURES / "small/loops.onnx").read_bytes()
    assert from_networkx(graph, trust="edges").SerializeToString() == (FIXTURES / "small/loops.onnx").read_bytes()


def test_values_are_those_of_python() -> None:
    path = FIXTURES / "htp/winml-resnet-mini-torchscript/model.onnx"
    graph = to_networkx(path, metadata=path.with_name("model_htp_metadata.json"))
    conv = next(data for data in graph.nodes.values() if data.get("op_type") == "Conv")
    node = next(node for node in onnx.load(path).graph.node if node.op_type == "Conv")
    assert (conv["kind"], conv["name"], conv["inputs"], conv["outputs"]) == (
        "op",
        node.name,
        list(node.input),
        list(node.output),
    )
    assert graph.nodes[conv["after"]]["kind"] in ("op", "model")
    assert conv["hierarchy_tag"].startswith("/")
    assert {attribute["name"]: attribute.get("ints") for attribute in conv["attributes"]}["pads"] == list(
        next(attribute for attribute in node.attribute if attribute.name == "pads").ints
    )
    edge = next(data for _, _, data in graph.edges(data=True) if "tensor_shape" in data)
    assert isinstance(edge["tensor_shape"], list)
    assert isinstance(edge["input_index"], int)
    assert model_node(graph)["source_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_text_of_a_graph_is_text_again(bert: nx.MultiDiGraph[str]) -> None:
    text = as_text(bert)
    nx.set_edge_attributes(text, "NaN", "input_index")  # as tools write that keep numbers in columns
    again = as_text(text)
    assert dict(again.nodes(data=True)) == dict(text.nodes(data=True))
    assert list(again.edges(data=True)) == list(text.edges(data=True))
    assert from_networkx(again, trust="edges") == from_networkx(bert)


def test_names_may_look_like_ids_and_like_literals() -> None:
    names = ["n1", '"n4"', '"', "", " n6", "n7"]
    nodes = [onnx.helper.make_node("Relu", ["n1" if name == "n1" else '"x"'], [name], name=name) for name in names]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "model", [], []))
    ids = list(to_networkx(model))
    model.graph.node[1].name = ids[2]  # that of the same node, which only its name before told, and of another
    model.graph.node[5].name = ids[1]
    names = [node.name for node in model.graph.node]
    graph = to_networkx(model)
    assert [data.get("name", "") for data in graph.nodes.values()] == ["model", *names]
    for trust in TRUSTS:
        assert from_networkx(graph, trust=trust) == model
        assert from_networkx(read(written(as_text(graph))), trust=trust) == model


def test_a_file_of_weights_that_was_changed_is_refused(tmp_path: Path) -> None:
    path = Path(shutil.copy(FIXTURES / "htp/winml-bert-mini-dynamo/model.onnx", tmp_path))
    graph = to_networkx(path)
    content = bytearray(path.read_bytes())
    position = content.index(from_networkx(graph).graph.initializer[0].raw_data)
    content[position] ^= 1
    path.write_bytes(content)
    with pytest.raises(PayloadError, match="SHA-256"):
        from_networkx(graph)

    path.rename(tmp_path / "elsewhere.onnx")
    with pytest.raises(PayloadError, match=r"missing .*parameter_folder"):
        from_networkx(graph)


def test_a_file_that_was_moved_is_found(tmp_path: Path) -> None:
    original = FIXTURES / "htp/winml-bert-mini-dynamo/model.onnx"
    path = Path(shutil.copy(original, tmp_path))
    graph = to_networkx(path)
    (tmp_path / "moved").mkdir()
    path.rename(tmp_path / "moved" / path.name)
    model = from_networkx(graph, parameter_folder=tmp_path / "moved")
    assert model.SerializeToString() == original.read_bytes()


def test_a_file_behind_a_link_is_found(tmp_path: Path) -> None:
    original = FIXTURES / "htp/winml-bert-mini-dynamo/model.onnx"
    link = tmp_path / "link.onnx"
    try:
        link.symlink_to(original)
    except OSError:
        pytest.skip("this system makes no symbolic links")
    assert from_networkx(to_networkx(link)).SerializeToString() == original.read_bytes()


def test_a_file_that_is_not_canonical_gives_the_same_model(tmp_path: Path) -> None:
    model = onnx.load(FIXTURES / "htp/winml-bert-mini-dynamo/model.onnx")
    graph = model.graph.SerializeToString()
    model.ClearField("graph")
    path = tmp_path / "model.onnx"
    part = onnx.ModelProto(graph=onnx.GraphProto.FromString(graph)).SerializeToString()
    path.write_bytes(part + model.SerializeToString())  # fields in another order
    assert from_networkx(to_networkx(path)) == onnx.load(path)


# --- what is refused --------------------------------------------------------------------------------------------------


def test_values_that_do_not_fit_are_named(bert: nx.MultiDiGraph[str]) -> None:
    node = next(node for node, data in bert.nodes(data=True) if data.get("op_type") == "MatMul")
    for key, value, told in (
        ("attributes", [{"name": "x", "f": object()}], "attributes: cannot be written as JSON"),
        ("attributes", [{"name": "x", "f": float("nan")}], "attributes: cannot be written as JSON"),
        ("attributes", "[{", "attributes: not valid JSON"),
        ("attributes", [{"nome": "x"}], "knows no such field"),
        ("after", 1.5, "after: must be a string"),
        ("name", 7, "name: must be a string"),
        ("inputs", ["x", 7], "inputs"),
        ("kind", "operator", "kind"),
        ("kind", np.array(["op", "op"]), "kind: must be a string"),
        ("parent", "nobody", "nobody"),
    ):
        graph = bert.copy()
        graph.nodes[node][key] = value
        with pytest.raises(GraphMLError, match=told) as caught:
            from_networkx(graph)
        assert (caught.value.file, caught.value.place) == (None, f"node {node!r}"), told


ODD = (
    None, "", " ", "[]", "a\0b", "\ud800", "99999999999", -1, 2**70, float("nan"), True, [], {}, [None], {1: 2}, ("x",),
    {"x"}, b"x", object(), np.int64(3), np.array([1, 2]), {"$payload": 1}, [{"$graph": 0}], [{"i": 2**64}],
)  # fmt: skip


@pytest.mark.parametrize("trust", [None, "edges"])
def test_whatever_stands_in_a_graph_nothing_but_errors_of_ours_comes_out(trust: Trust | None) -> None:
    graph = to_networkx(onnx.ModelProto.FromString((FIXTURES / "small/loops.onnx").read_bytes()), show_parameters=True)
    all_data = [*{data["kind"]: data for data in graph.nodes.values()}.values(), next(iter(graph.edges.values()))]
    for data in all_data:
        for key in list(data):
            before = data[key]
            for data[key] in ODD:
                with suppress(GraphmlOnnxError):
                    from_networkx(graph, trust=trust)
            data[key] = before


def test_graphs_that_are_none_of_ours_are_refused() -> None:
    with pytest.raises(UsageError, match="undirected"):
        from_networkx(nx.Graph())
    with pytest.raises(GraphMLError, match="model"):
        from_networkx(nx.MultiDiGraph())
    with pytest.raises(GraphMLError, match="no kind") as caught:
        from_networkx(nx.path_graph(3, nx.DiGraph))
    assert "to_networkx" in str(caught.value)
    assert "GraphML" not in str(caught.value)  # there is none


def test_a_graph_that_contradicts_itself_names_the_argument(bert: nx.MultiDiGraph[str]) -> None:
    graph = bert.copy()
    graph.remove_edge(*next(iter(graph.edges)))
    with pytest.raises(GraphMLError, match="`trust='nodes'` goes by") as caught:
        from_networkx(graph)
    assert "--trust" not in str(caught.value)


def test_a_part_without_the_model_says_what_to_keep(bert: nx.MultiDiGraph[str]) -> None:
    part = bert.subgraph([node for node, data in bert.nodes(data=True) if data["kind"] == "op"])
    with pytest.raises(GraphMLError, match="no node has the kind 'model'") as caught:
        from_networkx(part)
    assert caught.value.remedy is not None
    assert "keep that node" in caught.value.remedy


def test_two_models_in_one_graph_are_refused(bert: nx.MultiDiGraph[str]) -> None:
    with pytest.raises(GraphMLError, match="already used"):
        from_networkx(nx.disjoint_union(bert, bert))


def test_files_that_are_none_of_ours_are_refused(tmp_path: Path) -> None:
    empty = tmp_path / "empty.onnx"
    empty.touch()
    with pytest.raises(ModelError, match="empty"):
        to_networkx(empty)
    foreign = tmp_path / "foreign.graphml"
    foreign.write_bytes(written(nx.path_graph(3, nx.DiGraph)))
    with pytest.raises(GraphMLError, match="node_id"):
        to_networkx(foreign)
    model = FIXTURES / MODELS[0]
    graphml = encode(model, tmp_path / "graph.graphml").graphml
    with pytest.raises(UsageError, match="modules"):
        to_networkx(graphml, metadata={"modules": {}})


def test_external_data_stay_where_they_are() -> None:
    model = from_networkx(to_networkx(FIXTURES / EXTERNAL))
    onnx.load_external_data_for_model(model, str(FIXTURES / "small/external_data"))
    assert model == onnx.load(FIXTURES / EXTERNAL)


def test_networkx_is_imported_only_when_it_is_needed() -> None:
    import subprocess
    import sys

    code = "import sys, graphml_onnx; graphml_onnx.encode; graphml_onnx.decode; sys.exit('networkx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture(autouse=True)
def _no_warnings() -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield
