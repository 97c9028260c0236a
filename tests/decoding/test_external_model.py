"""``decode --external``: the model refers to the sidecar, and ONNX and onnxruntime load the weights from there."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from graphml_onnx import PayloadError, UsageError, decode, encode
from graphml_onnx.onnxfile.external import tensors_of
from tests.common.command import in_process

FIXTURES = Path(__file__).parents[2] / "fixtures"
X = np.arange(400, dtype=np.float32)


def tensor(name: str, number: int) -> TensorProto:
    return numpy_helper.from_array(X + number, name)


def model_of(folder: Path) -> onnx.ModelProto:
    """A sum of weights of every kind: an initializer, a Constant, bodies, a function, typed, in a data file."""
    out = helper.make_tensor_value_info("out", TensorProto.FLOAT, [400])
    body = helper.make_graph(
        [
            helper.make_node("Constant", [], ["made"], value=tensor("", 16)),
            helper.make_node("Sum", ["made", "in_body"], ["out"]),
        ],
        "body",
        [],
        [out],
        [tensor("in_body", 32)],
    )
    inner = [helper.make_node("Constant", [], ["b"], value=tensor("", 8))]
    function = helper.make_function("d", "Weight", [], ["b"], inner, [helper.make_opsetid("", 17)])
    stored = TensorProto(name="stored", data_type=TensorProto.FLOAT, dims=[400], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "data/w.bin"), ("offset", "16")):
        stored.external_data.add(key=key, value=value)
    (folder / "data").mkdir()
    (folder / "data/w.bin").write_bytes(bytes(16) + (X + 64).tobytes())
    nodes = [
        helper.make_node("Constant", [], ["constant"], value=tensor("", 2)),
        helper.make_node("Weight", [], ["of_function"], domain="d"),
        helper.make_node("If", ["choose"], ["of_body"], then_branch=body, else_branch=body),
        helper.make_node("Sum", ["x", "first", "constant", "typed", "of_function", "of_body", "stored"], ["y"]),
    ]
    typed = TensorProto(name="typed", data_type=TensorProto.FLOAT, dims=[400], float_data=X + 4)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [400]),
         helper.make_tensor_value_info("choose", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [400])],
        [tensor("first", 1), typed, stored],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("d", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=[function])


def computed(model: Path) -> np.ndarray:
    session = onnxruntime.InferenceSession(model)
    found: np.ndarray = session.run(None, {"x": X, "choose": np.array(True)})[0]
    return found


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    (tmp_path / "model.onnx").write_bytes(model_of(tmp_path).SerializeToString())
    return encode(tmp_path / "model.onnx", tmp_path / "graph.graphml").graphml


def test_onnx_and_onnxruntime_load_it(graph: Path) -> None:
    folder = graph.parent
    original = computed(folder / "model.onnx")
    result = decode(graph, folder / "thin.onnx", external=True)
    (folder / "data/w.bin").unlink()
    assert result.refers_to == (folder / "graph.onnxdata",)
    assert (result.exact, result.external) == (False, ())
    assert result.onnx.stat().st_size < 3000
    onnx.checker.check_model(result.onnx, full_check=True)
    np.testing.assert_array_equal(computed(result.onnx), original)
    loaded = {item.name: numpy_helper.to_array(item) for item in onnx.load(result.onnx).graph.initializer}
    assert {name: array[0] for name, array in loaded.items()} == {"first": 1, "typed": 4, "stored": 64}


def test_it_is_a_model_like_any_other(graph: Path) -> None:
    """It can be encoded again; its data file is then the sidecar of the first."""
    thin = decode(graph, graph.with_name("thin.onnx"), external=True).onnx
    again = encode(thin, graph.with_name("again.graphml"))
    assert decode(again.graphml, graph.with_name("back.onnx")).exact


def test_a_sidecar_below_the_model(graph: Path) -> None:
    folder = graph.parent / "sub"
    folder.mkdir()
    for name in ("graph.graphml", "graph.onnxdata"):
        graph.with_name(name).rename(folder / name)
    result = decode(folder / "graph.graphml", graph.parent / "thin.onnx", external=True)
    entries = onnx.load(result.onnx, load_external_data=False).graph.initializer[0].external_data
    assert {entry.key: entry.value for entry in entries}["location"] == "sub/graph.onnxdata"
    assert computed(result.onnx)[0] == computed(graph.parent / "model.onnx")[0]


def test_a_sidecar_elsewhere_is_refused(graph: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with pytest.raises(UsageError, match="in the folder of the model, or below it"):
        decode(graph, tmp_path / "other/thin.onnx", external=True)
    assert not list((tmp_path / "other").iterdir())


@pytest.mark.parametrize("strategy", ["embedded", "reference"])
def test_without_a_sidecar(tmp_path: Path, strategy: str) -> None:
    (tmp_path / "model.onnx").write_bytes(model_of(tmp_path).SerializeToString())
    graph = encode(tmp_path / "model.onnx", tmp_path / "graph.graphml", parameters=strategy).graphml  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="only a model with a sidecar"):
        decode(graph, tmp_path / "thin.onnx", external=True)


def test_damaged_weights_are_refused(graph: Path) -> None:
    sidecar = graph.with_name("graph.onnxdata")
    content = bytearray(sidecar.read_bytes())
    for position in (len(content) - 1, len(content) - 3000):  # in the data file, and in a tensor
        content[position] ^= 1
        sidecar.write_bytes(content)
        with pytest.raises(PayloadError, match="SHA-256"):
            decode(graph, graph.with_name("thin.onnx"), external=True)
        content[position] ^= 1


def test_not_the_original(graph: Path) -> None:
    with pytest.raises(UsageError, match="not the original"):
        decode(graph, graph.with_name("thin.onnx"), external=True, require_exact=True)


def test_what_runtimes_do_not_read_is_copied(tmp_path: Path) -> None:
    """Sparse tensors, numbers that protobuf packs, strings; and whatever is small stays."""
    indices = TensorProto(data_type=TensorProto.INT64, dims=[400], raw_data=np.arange(400).tobytes())
    sparse = onnx.SparseTensorProto(values=tensor("sparse", 1), indices=indices, dims=[1000])
    packed = TensorProto(name="packed", data_type=TensorProto.INT64, dims=[1100], int64_data=[1] * 1100)
    texts = TensorProto(name="texts", data_type=TensorProto.STRING, dims=[1], string_data=[b"\xff" * 2000])
    graph = helper.make_graph([], "g", [], [], [packed, texts, tensor("w", 1)])
    graph.sparse_initializer.append(sparse)
    (tmp_path / "model.onnx").write_bytes(helper.make_model(graph).SerializeToString())
    encoded = encode(tmp_path / "model.onnx", tmp_path / "graph.graphml").graphml
    result = decode(encoded, tmp_path / "thin.onnx", external=True)
    found = onnx.load(result.onnx, load_external_data=False).graph
    places = {item.name: item.data_location for item in found.initializer}
    assert places == {"packed": 0, "texts": 0, "w": 1}
    assert found.sparse_initializer[0].values.raw_data == (X + 1).tobytes()
    assert list(found.initializer[0].int64_data) == [1] * 1100


@pytest.mark.parametrize(
    "name", ["htp/winml-bert-mini-dynamo/model", "real/squeezenet_fp16", "real/silero_vad", "small/quantised"]
)
def test_real_models_give_the_same_tensors(name: str, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes((FIXTURES / f"{name}.onnx").read_bytes())
    graph = encode(tmp_path / "model.onnx", tmp_path / "graph.graphml").graphml
    thin = decode(graph, tmp_path / "thin.onnx", external=True).onnx
    loaded, original = onnx.load(thin), onnx.load(tmp_path / "model.onnx")
    for item, _ in (*tensors_of(loaded), *tensors_of(original)):
        item.ClearField("data_location")  # which ONNX sets where it has loaded external data
    assert loaded == original
    onnxruntime.InferenceSession(thin)


def test_the_command(graph: Path) -> None:
    ran = in_process(graph.parent, "decode", "graph.graphml", "-o", "thin.onnx", "--external")
    assert ran.code == 0, ran.err
    assert "weights  graph.onnxdata" in ran.out
    assert "refers to its weights" in ran.out
    ran = in_process(graph.parent, "decode", "graph.graphml", "-o", "b.onnx", "--external", "--json")
    assert json.loads(ran.out)["refers_to"] == ["graph.onnxdata"]
