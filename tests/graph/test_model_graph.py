"""The view of a model: the same from ONNX and from GraphML, and what it says is what ONNX says."""

from __future__ import annotations

import copy
import hashlib
import math
import pickle
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import graphml_onnx
from graphml_onnx.graph.inspection import module_shares
from graphml_onnx.graph.statistics import statistics_of
from tests.common.command import in_process
from tests.graph.models import with_body

HTP = sorted((Path(__file__).parents[2] / "fixtures" / "htp").glob("*/model.onnx"))


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    onnx.save(with_body(), tmp_path / "mixed.onnx")
    return tmp_path / "mixed.onnx"


def facts(graph: graphml_onnx.ModelGraph) -> dict[str, object]:
    found = graph.to_dict()
    del found["path"]
    for parameter in found["parameters"]:
        del parameter["file"], parameter["offset"]
    return found


@pytest.mark.parametrize("layout", ["nested", "flat", "plain"])
@pytest.mark.parametrize("parameters", ["sidecar", "embedded", "reference"])
def test_graphml_and_onnx_are_the_same_graph(mixed: Path, layout: str, parameters: str) -> None:
    graph = mixed.with_suffix(".graphml")
    graphml_onnx.encode(mixed, graph, layout=layout, parameters=parameters)

    ours, theirs = graphml_onnx.open(graph), graphml_onnx.open(mixed)

    assert facts(ours) == facts(theirs)
    bodies = [body.to_dict() for body in ours.bodies]
    assert bodies == [body.to_dict() for body in theirs.bodies]
    assert [body["operators"] for body in bodies] == [[o.label for o in body.operators] for body in ours.bodies]
    assert [parameter.digest for parameter in ours.parameters] == [parameter.digest for parameter in theirs.parameters]
    for left, right in zip(ours.parameters, theirs.parameters, strict=True):
        assert left.has_same_content(right)
        assert left.numpy().tobytes() == right.numpy().tobytes()


@pytest.mark.parametrize("model", HTP, ids=lambda path: path.parent.name)
def test_real_models_are_the_same_from_both(model: Path, tmp_path: Path) -> None:
    metadata = model.with_name("model_htp_metadata.json")
    graphml_onnx.encode(model, tmp_path / "g.graphml", metadata=metadata)

    assert facts(graphml_onnx.open(tmp_path / "g.graphml")) == facts(graphml_onnx.open(model, metadata=metadata))


@pytest.mark.parametrize("model", HTP, ids=lambda path: path.parent.name)
def test_weights_are_those_of_the_file(model: Path) -> None:
    message = onnx.load(model)
    graph = graphml_onnx.open(model)

    for tensor in message.graph.initializer:
        array = numpy_helper.to_array(tensor)
        parameter = graph.parameter(tensor.name)
        assert parameter.numpy().dtype == array.dtype
        assert parameter.numpy().tobytes() == array.tobytes()
        assert parameter.digest == hashlib.sha256(array.tobytes()).hexdigest()
        assert (parameter.nbytes, parameter.shape) == (array.nbytes, array.shape)


def test_neighbours_cross_bodies(mixed: Path) -> None:
    graph = graphml_onnx.open(mixed)

    hidden = graph.tensor("h")
    assert hidden.producer is graph.operator("/enc/0/act")
    assert [operator.label for operator in hidden.consumers] == ["/enc/0/Neg/MatMul", "/enc/0/Relu/MatMul"]
    branch = graph.operator("/enc/0/If").attributes["then_branch"]
    assert isinstance(branch, graphml_onnx.Body)
    assert {tensor.name for tensor in branch.captured} == {"h", "enc.0.weight"}
    assert graph.functions["own", "Twice", ""].operators[0].op_type == "Add"
    assert graph.outputs[0].producer is not None
    assert graph.outputs[0].producer.predecessors == [graph.operator("/head/Twice")]


def test_modules_hold_operators_and_parameters(mixed: Path) -> None:
    graph = graphml_onnx.open(mixed)
    layer = graph.module("enc.0")

    assert [module.path for module in graph.modules] == ["enc", "enc.0", "head"]
    assert [operator.op_type for operator in layer.all_operators()] == ["LeakyRelu", "If"]
    assert [parameter.name for parameter in layer.parameters] == ["enc.0.weight"]
    assert layer.parent is graph.module("enc")
    assert [*graph.module("enc").descendants()] == [layer]
    assert graph.operator("/enc/0/If").module is layer


def test_attributes_are_python_values(mixed: Path) -> None:
    graph = graphml_onnx.open(mixed)

    assert graph.operator("/enc/0/act").attributes == {"alpha": 0.1}
    assert graph.operators_of_type("Transpose")[0].attributes == {"perm": (1, 0)}


def test_every_form_of_weights_is_an_array(mixed: Path) -> None:
    graph = graphml_onnx.open(mixed)

    assert graph.parameter("typed").numpy().tolist() == [*range(600)]
    assert graph.parameter("sparse").numpy().tolist() == [[0, 1, 0], [0, 0, 2]]
    assert graph.parameter("c").numpy().tobytes() == np.linspace(0, 1, 300).astype(np.float32).tobytes()
    assert graph.parameter("c").kind == "constant"


def test_a_digest_is_of_the_elements_not_of_their_form(tmp_path: Path) -> None:
    model = with_body()
    onnx.save(model, tmp_path / "typed.onnx")
    for tensor in model.graph.initializer:
        tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor), tensor.name))
    onnx.save(model, tmp_path / "raw.onnx", save_as_external_data=True, location="d", size_threshold=0)

    typed, raw = (graphml_onnx.open(tmp_path / f"{name}.onnx") for name in ("typed", "raw"))

    for name in ("typed", "enc.0.weight"):
        assert raw.parameter(name).data.is_external
        assert typed.parameter(name).digest == raw.parameter(name).digest
        assert typed.parameter(name).has_same_content(raw.parameter(name))
        assert raw.parameter(name).numpy().tobytes() == typed.parameter(name).numpy().tobytes()


def test_external_data_that_is_missing_only_matters_when_it_is_read(tmp_path: Path) -> None:
    onnx.save(with_body(), tmp_path / "m.onnx", save_as_external_data=True, location="d", size_threshold=0)
    (tmp_path / "d").unlink()
    parameter = graphml_onnx.open(tmp_path / "m.onnx").parameter("enc.0.weight")

    assert (parameter.shape, parameter.nbytes) == ((32, 32), 4096)
    with pytest.raises(graphml_onnx.InputError, match=r"'enc.0.weight' of .*m\.onnx: no such file"):
        parameter.numpy()


def test_shapes_are_inferred_on_request(mixed: Path) -> None:
    assert graphml_onnx.open(mixed).tensor("h").type is None

    graph = graphml_onnx.open(mixed, infer_shapes=True)

    assert str(graph.tensor("h").type) == "FLOAT[batch, 32]"
    assert str(graph.tensor("c").type) == "FLOAT[300]"


def test_names_that_inference_makes_up_are_not_shown(tmp_path: Path) -> None:
    def model(size: str) -> onnx.ModelProto:
        x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [size, 4])
        y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
        inner = helper.make_graph(
            [helper.make_node("NonZero", ["x"], ["i"]), helper.make_node("Cast", ["i"], ["r"], to=1)],
            "inner",
            [],
            [helper.make_tensor_value_info("r", TensorProto.FLOAT, None)],
        )
        condition = helper.make_tensor("c", TensorProto.BOOL, [], [True])
        choice = helper.make_node("If", ["c"], ["z"], then_branch=inner, else_branch=inner)
        nodes = [helper.make_node("NonZero", ["x"], ["n"]), helper.make_node("Relu", ["x"], ["y"]), choice]
        return helper.make_model(helper.make_graph(nodes, "g", [x], [y], [condition]))

    with graphml_onnx.open(model("batch"), infer_shapes=True) as graph:
        shapes = {tensor.name: tensor.shape for body in graph.bodies for tensor in body.tensors.values()}
    assert shapes["n"] == shapes["i"] == (2, None)
    assert shapes["y"] == ("batch", 4)
    with graphml_onnx.open(model("unk__0"), infer_shapes=True) as graph:  # a name of the model
        assert graph.tensor("y").shape == ("unk__0", 4)
        assert graph.tensor("n").shape == (2, None)


def test_shapes_are_inferred_when_one_is_asked_for_that_the_model_does_not_say(
    mixed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[object] = []
    infer = onnx.shape_inference.infer_shapes
    monkeypatch.setattr(onnx.shape_inference, "infer_shapes", lambda *a, **k: (calls.append(a), infer(*a, **k))[1])

    with graphml_onnx.open(mixed, infer_shapes=True) as graph:
        assert [str(tensor.type) for tensor in graph.inputs] == ["FLOAT[batch, 32]", "BOOL[]"]
        assert {str(parameter.type) for parameter in graph.parameters}
        assert module_shares(graph.root)[0].unknown_macs == 2  # of matrix products, for which shapes are needed
        assert str(graph.tensor("h").type) == "FLOAT[batch, 32]"
        assert len(calls) == 1
    with graphml_onnx.open(mixed, infer_shapes=True) as graph:
        assert [str(tensor.type) for tensor in graph.inputs] == ["FLOAT[batch, 32]", "BOOL[]"]
    assert len(calls) == 1
    with graphml_onnx.open(mixed) as graph:
        assert graph.tensor("h").type is None
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("kind", "name", "nearest"),
    [("module", "enc.1", "'enc.0'"), ("operator", "/enc/0/akt", "'/enc/0/act'"), ("tensor", "hh", "'h'")],
)
def test_an_unknown_name_is_answered_by_the_nearest(mixed: Path, kind: str, name: str, nearest: str) -> None:
    with pytest.raises(graphml_onnx.UsageError, match=f"there is no {kind} '{name}'") as caught:
        getattr(graphml_onnx.open(mixed), kind)(name)

    assert nearest in str(caught.value.remedy)


def test_a_closed_graph_reads_no_weights(mixed: Path) -> None:
    with graphml_onnx.open(mixed) as graph:
        parameter = graph.parameter("enc.0.weight")

    with pytest.raises(graphml_onnx.InputError):
        parameter.numpy()


def test_a_model_in_memory_opens_and_stays_as_it_is() -> None:
    model = with_body()
    before = model.SerializeToString(deterministic=True)
    graph = graphml_onnx.open(model, infer_shapes=True)

    assert graph.parameter("enc.0.weight").numpy().sum() == 1023 * 512
    assert model.SerializeToString(deterministic=True) == before


def test_reprs_say_what_it_is(mixed: Path) -> None:
    graph = graphml_onnx.open(mixed)

    assert "5 operators, 3 modules" in repr(graph)
    assert repr(graph.operator("/enc/0/act")) == "<Operator LeakyRelu '/enc/0/act': x -> h>"
    assert repr(graph.parameter("enc.0.weight")) == "<Parameter enc.0.weight: FLOAT[32, 32], 4,096 bytes>"
    assert "<th>modules</th><td>3 from names</td>" in graph._table()


def test_an_edited_graph_is_opened_as_one_of_its_sides_says(tmp_path: Path) -> None:
    nodes = [helper.make_node(kind, [source], [made], name=made) for kind, source, made in (
        ("Relu", "x", "a"), ("Neg", "x", "b"), ("Abs", "a", "y"),
    )]  # fmt: skip
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", "y")]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:])), tmp_path / "m.onnx")
    path = graphml_onnx.encode(tmp_path / "m.onnx", tmp_path / "m.graphml").graphml
    path.write_text(path.read_text("utf-8").replace('"inputs">["a"]', '"inputs">["b"]'), "utf-8")
    with pytest.raises(graphml_onnx.GraphMLError, match="disagree"):
        graphml_onnx.open(path)
    with graphml_onnx.open(path, trust="nodes") as graph:
        assert graph.operator("y").predecessors == [graph.operator("b")]
    with graphml_onnx.open(path, trust="edges") as graph:
        assert graph.operator("y").predecessors == [graph.operator("a")]
    with pytest.raises(graphml_onnx.UsageError, match="trust is for GraphML"):
        graphml_onnx.open(tmp_path / "m.onnx", trust="nodes")
    assert in_process(tmp_path, "textconv", "m.graphml", "--trust", "edges").code == 0


@pytest.mark.parametrize("model", HTP, ids=lambda path: path.parent.name)
def test_a_parameter_has_the_owner_that_the_graph_draws(model: Path, tmp_path: Path) -> None:
    graph = graphml_onnx.to_networkx(model, show_parameters=True)
    scopes = {data["node_id"]: data.get("scope", "") for _, data in graph.nodes(data=True)}
    drawn = {data["label"]: scopes[data["parent"]] for _, data in graph.nodes(data=True) if data["kind"] == "parameter"}
    with graphml_onnx.open(model) as opened:
        assert {p.name: p.module.path for p in opened.parameters if p.kind == "initializer"} == drawn


@pytest.mark.parametrize("place", [99, -7])
def test_a_sparse_tensor_beyond_its_shape_is_told(place: int) -> None:
    values = helper.make_tensor("values", TensorProto.FLOAT, [2], [1.0, 2.0])
    indices = helper.make_tensor("indices", TensorProto.INT64, [2], [1, place])
    node = helper.make_node("Constant", [], ["c"], sparse_value=helper.make_sparse_tensor(values, indices, [4]))
    graph = helper.make_graph([node], "g", [], [helper.make_tensor_value_info("c", TensorProto.FLOAT, [4])])
    (parameter,) = graphml_onnx.open(helper.make_model(graph)).parameters
    with pytest.raises(graphml_onnx.ModelError, match="does not fit its shape"):
        parameter.numpy()


def test_statistics_of_the_largest_numbers_warn_of_nothing() -> None:
    tensor = helper.make_tensor("w", TensorProto.DOUBLE, [3], [1.7e308, 1.7e308, -1.7e308])
    graph = helper.make_graph([], "g", [], [helper.make_tensor_value_info("w", TensorProto.DOUBLE, [3])], [tensor])
    (parameter,) = graphml_onnx.open(helper.make_model(graph)).parameters
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = statistics_of([parameter.data])
    assert (found.min, found.max, found.mean) == (-1.7e308, 1.7e308, math.inf)


def test_parts_are_their_own_copies_and_are_not_pickled(mixed: Path) -> None:
    with graphml_onnx.open(mixed) as graph:
        parts = [graph, graph.root, graph.main, graph.operators[0], graph.inputs[0], graph.parameters[0]]
        parts.append(graph.parameters[0].data)
        assert copy.deepcopy(parts) == parts
        assert [copy.copy(part) for part in parts] == parts
        for part in parts:
            with pytest.raises(TypeError, match=rf"cannot pickle a {type(part).__name__}, .* the path of the model"):
                pickle.dumps(part)
        assert copy.deepcopy(graph.to_networkx()).number_of_nodes() == graph.to_networkx().number_of_nodes()
