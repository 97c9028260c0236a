"""Weights that were edited with other tools go back into the model, by name, if asked for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file, save_file

from graphml_onnx import InputError, NotExactError, PayloadError, UsageError, decode, encode
from tests.common.command import in_process
from tests.common.limited import limited

if TYPE_CHECKING:
    from pathlib import Path

    from graphml_onnx import ParameterStrategy

RNG = np.random.default_rng(5)
WEIGHT = RNG.normal(size=(16, 24)).astype(np.float32)
HEAD = RNG.normal(size=(24, 20)).astype(np.float32)
X = RNG.normal(size=(3, 16)).astype(np.float32)


def model_of(*, typed: bool = False) -> onnx.ModelProto:
    """``y = relu(x @ weight) @ head``."""
    weight = numpy_helper.from_array(WEIGHT, "encoder.weight")
    if typed:
        weight = TensorProto(name="encoder.weight", data_type=1, dims=WEIGHT.shape, float_data=WEIGHT.ravel())
    nodes = [
        helper.make_node("MatMul", ["x", "encoder.weight"], ["h"], name="/encoder/MatMul"),
        helper.make_node("Relu", ["h"], ["r"], name="/encoder/Relu"),
        helper.make_node("MatMul", ["r", "head"], ["y"], name="/head/MatMul"),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 16])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 20])],
        [weight, numpy_helper.from_array(HEAD, "head")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """A graph with its sidecar, ``graph.onnxdata``; the model itself is gone."""
    (tmp_path / "model.onnx").write_bytes(model_of().SerializeToString())
    encode(tmp_path / "model.onnx", tmp_path / "graph.graphml")
    (tmp_path / "model.onnx").unlink()
    return tmp_path / "graph.graphml"


def computed(model: Path, x: np.ndarray = X) -> np.ndarray:
    found: np.ndarray = onnxruntime.InferenceSession(model).run(None, {"x": x})[0]
    return found


def expected(weight: np.ndarray = WEIGHT, head: np.ndarray = HEAD) -> np.ndarray:
    return np.maximum(X @ weight.astype(np.float32), 0) @ head.astype(np.float32)


def test_cast_to_half_precision(graph: Path) -> None:
    sidecar = graph.with_suffix(".onnxdata")
    weights = load_file(sidecar)
    save_file({name: array.astype(np.float16) for name, array in weights.items()}, sidecar)
    result = decode(graph, edited_weights=True)
    np.testing.assert_allclose(
        computed(result.onnx), expected(WEIGHT.astype(np.float16), HEAD.astype(np.float16)), rtol=1e-5, atol=1e-5
    )
    assert result.changed == (
        "encoder.weight: F32[16, 24], converted from F16 to F32",
        "head: F32[24, 20], converted from F16 to F32",
    )
    assert not result.exact


def test_a_model_of_half_precision_where_the_graph_says_so_too(graph: Path) -> None:
    """The graph says the types: with ``FLOAT16`` there, nothing is converted, and the model is half as large."""
    size = decode(graph, graph.with_name("full.onnx")).onnx.stat().st_size
    graph.write_text(graph.read_text("utf-8").replace('"FLOAT"', '"FLOAT16"'), "utf-8")
    sidecar = graph.with_suffix(".onnxdata")
    save_file({name: array.astype(np.float16) for name, array in load_file(sidecar).items()}, sidecar)
    result = decode(graph, edited_weights=True)
    assert result.onnx.stat().st_size < 0.6 * size
    assert result.changed == ("encoder.weight: F16[16, 24]", "head: F16[24, 20]")
    found = computed(result.onnx, X.astype(np.float16))
    assert found.dtype == np.float16
    np.testing.assert_allclose(found.astype(np.float32), expected(), rtol=0.02, atol=0.1)


def test_prune(graph: Path) -> None:
    weights = load_file(graph.with_suffix(".onnxdata"))
    pruned = np.where(np.abs(weights["encoder.weight"]) < 0.5, 0, weights["encoder.weight"]).astype(np.float32)
    save_file(weights | {"encoder.weight": pruned}, graph.with_name("pruned.safetensors"))
    result = decode(graph, parameters=graph.with_name("pruned.safetensors"))
    np.testing.assert_allclose(computed(result.onnx), expected(weight=pruned), rtol=1e-5, atol=1e-5)
    assert result.changed == ("encoder.weight: F32[16, 24]",)


def test_swap_one_layer(graph: Path) -> None:
    weights = load_file(graph.with_suffix(".onnxdata"))
    head = RNG.normal(size=(24, 20)).astype(np.float32)
    result = decode(graph, parameters=weights | {"head": head})
    np.testing.assert_allclose(computed(result.onnx), expected(head=head), rtol=1e-5, atol=1e-5)
    assert result.changed == ("head: F32[24, 20]",)
    assert {i.name: i.data_type for i in onnx.load(result.onnx).graph.initializer} == {"encoder.weight": 1, "head": 1}


@pytest.mark.parametrize("strategy", ["sidecar", "embedded", "reference"])
@pytest.mark.parametrize("typed", [False, True])
def test_arrays_with_every_strategy(tmp_path: Path, strategy: ParameterStrategy, typed: bool) -> None:
    """Names are those that a sidecar would have; the originals are not needed."""
    (tmp_path / "model.onnx").write_bytes(model_of(typed=typed).SerializeToString())
    graph = encode(tmp_path / "model.onnx", tmp_path / "graph.graphml", parameters=strategy).graphml
    (tmp_path / "model.onnx").unlink()
    graph.with_suffix(".onnxdata").unlink(missing_ok=True)
    result = decode(graph, parameters={"encoder.weight": 2 * WEIGHT, "head": HEAD})
    np.testing.assert_allclose(computed(result.onnx), expected(weight=2 * WEIGHT), rtol=1e-5, atol=1e-5)
    assert result.changed == ("encoder.weight: F32[16, 24]",)


def test_weights_that_were_only_saved_again_are_the_same(graph: Path) -> None:
    """In another order, without metadata: without the option refused, and with it the original."""
    sidecar = graph.with_suffix(".onnxdata")
    save_file(dict(reversed(load_file(sidecar).items())), sidecar)
    with pytest.raises(PayloadError, match="but the GraphML says") as caught:
        decode(graph)
    assert caught.value.remedy is not None
    assert "`edited_weights=True`" in caught.value.remedy
    result = decode(graph, edited_weights=True)
    assert (result.exact, result.changed) == (True, ())
    assert result.onnx.read_bytes() == model_of().SerializeToString()


def test_a_changed_value_names_the_option(graph: Path) -> None:
    """The header is the same; only a digest differs."""
    sidecar = graph.with_suffix(".onnxdata")
    content = bytearray(sidecar.read_bytes())
    content[-1] ^= 1
    sidecar.write_bytes(content)
    with pytest.raises(PayloadError, match="SHA-256") as caught:
        decode(graph)
    assert caught.value.remedy is not None
    assert "`edited_weights=True`" in caught.value.remedy
    assert decode(graph, edited_weights=True).changed == ("head: F32[24, 20]",)


WRONG = {
    "missing": (lambda w: {"head": w["head"]}, "lack the tensor 'encoder.weight'"),
    "added": (lambda w: w | {"more": HEAD}, "have the tensor 'more', which the model does not have"),
    "renamed": (lambda w: {"encoder": WEIGHT, "head": HEAD}, "lack the tensor 'encoder.weight'"),
    "many missing": (lambda w: {}, "lack the tensors 'encoder.weight', 'head'"),
    "transposed": (lambda w: w | {"head": HEAD.T}, r"'head' has the shape \[20, 24\], but the model says \[24, 20\]"),
    "flat": (lambda w: w | {"head": HEAD.ravel()}, "'head' has the shape"),
    "integers": (lambda w: w | {"head": HEAD.astype(np.int8)}, "'head' has the type I8, but the model says F32"),
}


@pytest.mark.parametrize("name", WRONG)
def test_weights_that_do_not_fit_are_refused_by_name(graph: Path, name: str) -> None:
    change, told = WRONG[name]
    weights = {"encoder.weight": WEIGHT, "head": HEAD}
    with pytest.raises(PayloadError, match=told):
        decode(graph, parameters=change(weights))
    if name not in ("many missing",):
        file = graph.with_name("w.safetensors")
        save_file({key: np.ascontiguousarray(array) for key, array in change(weights).items()}, file)
        with pytest.raises(PayloadError, match=told) as caught:
            decode(graph, parameters=file)
        assert caught.value.file == str(file)
    assert not graph.with_suffix(".onnx").exists()


@pytest.mark.parametrize("chunk", [1, 7, 64])
@pytest.mark.parametrize("dtype", [np.float64, np.float16, ml_dtypes.bfloat16, ml_dtypes.float8_e5m2])
def test_types_are_converted_in_chunks_of_any_size(graph: Path, chunk: int, dtype: type) -> None:
    with limited(chunk):
        result = decode(graph, parameters={"encoder.weight": WEIGHT.astype(dtype), "head": HEAD})
    found = {i.name: numpy_helper.to_array(i) for i in onnx.load(result.onnx).graph.initializer}
    np.testing.assert_array_equal(found["encoder.weight"], WEIGHT.astype(dtype).astype(np.float32))
    np.testing.assert_array_equal(found["head"], HEAD)


def test_arrays_in_any_layout(graph: Path) -> None:
    """Big-endian, and not one after the other."""
    weights = {"encoder.weight": np.asfortranarray(WEIGHT).astype(">f4"), "head": np.repeat(HEAD, 2, 0)[::2]}
    result = decode(graph, parameters=weights)
    assert result.exact
    assert weights["encoder.weight"].dtype == ">f4"


def test_an_array_of_a_type_that_no_weights_have(graph: Path) -> None:
    with pytest.raises(UsageError, match="'head' has the type <U1"):
        decode(graph, parameters={"head": np.array("a"), "encoder.weight": WEIGHT})


def test_a_file_that_is_no_safetensors_file(graph: Path, tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"\x80\x02}q\x00.")
    with pytest.raises(PayloadError, match="6 bytes") as caught:
        decode(graph, parameters=tmp_path / "w")
    assert caught.value.file == str(tmp_path / "w")
    with pytest.raises(InputError):
        decode(graph, parameters=tmp_path / "none")


def test_shards_by_their_index(graph: Path) -> None:
    folder = graph.parent / "shards"
    folder.mkdir()
    save_file({"encoder.weight": 2 * WEIGHT}, folder / "1.safetensors")
    save_file({"head": HEAD}, folder / "2.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"encoder.weight": "1.safetensors", "head": "2.safetensors"}}))
    result = decode(graph, parameters=index)
    assert result.changed == ("encoder.weight: F32[16, 24]",)
    np.testing.assert_allclose(computed(result.onnx), expected(2 * WEIGHT), rtol=1e-5, atol=1e-5)
    with pytest.raises(UsageError, match="an input as well as an output"):
        decode(graph, folder / "2.safetensors", parameters=index, overwrite=True)
    save_file({"encoder.weight": WEIGHT, "head": HEAD}, folder / "2.safetensors")
    with pytest.raises(PayloadError, match=r"2\.safetensors: an earlier shard has the tensor 'encoder\.weight' too"):
        decode(graph, parameters=index, overwrite=True)
    index.write_text("{}")
    with pytest.raises(PayloadError, match="has no weight_map"):
        decode(graph, parameters=index, overwrite=True)


def test_arrays_that_are_none(graph: Path) -> None:
    """A state dict of PyTorch, for instance."""
    for weights in ({"head": HEAD.tolist()}, {"head": object()}, {3: HEAD}):
        with pytest.raises(UsageError, match="under the name") as caught:
            decode(graph, parameters=weights)  # type: ignore[arg-type]
        assert "numpy()" in str(caught.value.remedy)
    assert not graph.with_suffix(".onnx").exists()


def test_tensors_that_the_graph_has_as_text_are_told_from_those_that_the_model_has_not(graph: Path) -> None:
    model = model_of()
    model.graph.initializer.append(numpy_helper.from_array(np.ones(3, np.float32), "bias"))
    encode(model, graph, overwrite=True)
    weights = load_file(graph.with_suffix(".onnxdata"))
    bias = {"bias": np.ones(3, np.float32)}
    with pytest.raises(PayloadError, match=r"the tensor 'bias', which the graph has as text.*inline_limit=32"):
        decode(graph, parameters={**weights, **bias})
    with pytest.raises(PayloadError, match=r"have the tensor 'other', which the model does not have"):
        decode(graph, parameters={**weights, **bias, "other": HEAD})


@pytest.mark.parametrize("strategy", ["sidecar", "embedded", "reference"])
def test_data_files(tmp_path: Path, strategy: ParameterStrategy) -> None:
    """They are not part of the model file, whose digest stays; the edited model still counts as changed."""
    model = tmp_path / "in/model.onnx"
    model.parent.mkdir()
    onnx.save(model_of(), model, save_as_external_data=True, location="w.bin", size_threshold=0)
    graph = encode(model, tmp_path / "in/graph.graphml", parameters=strategy).graphml
    content = np.fromfile(model.parent / "w.bin", np.uint8)
    zeros = {"__g2o__/file/w.bin": np.zeros_like(content)}
    with pytest.raises(
        PayloadError, match=r"the tensors 'encoder\.weight', 'head', which the model has in a data file"
    ):
        decode(graph, tmp_path / "refused.onnx", parameters={"encoder.weight": WEIGHT, "head": HEAD})
    if strategy == "reference":  # they stay where they are, which is beside the model
        with pytest.raises(PayloadError, match="the model does not have"):
            decode(graph, tmp_path / "refused.onnx", parameters=zeros)
        assert decode(graph, model.parent / "again.onnx", parameters={}).exact
        return
    assert decode(graph, tmp_path / "again.onnx", parameters={"__g2o__/file/w.bin": content}).exact
    (tmp_path / "out").mkdir()
    with pytest.raises(NotExactError, match=r"1 tensor was edited, the first is __g2o__/file/w\.bin"):
        decode(graph, tmp_path / "out/model.onnx", parameters=zeros, require_exact=True)
    assert not list((tmp_path / "out").iterdir())
    result = decode(graph, tmp_path / "out/model.onnx", parameters=zeros)
    assert not result.exact
    assert result.changed == (f"__g2o__/file/w.bin: U8[{content.size}]",)
    assert not computed(result.onnx).any()


@pytest.mark.parametrize("strategy", ["sidecar", "embedded", "reference"])
@pytest.mark.parametrize("shuffled", [False, True])
def test_tensors_that_share_their_content_may_get_different_weights(
    tmp_path: Path, strategy: ParameterStrategy, shuffled: bool
) -> None:
    """In a weight file two may be one tensor; in the model they are two."""
    names = ("first", "second", "third")
    ones = np.ones((16, 24), np.float32)
    initializers = [numpy_helper.from_array(ones, name) for name in names]
    graph = helper.make_graph([], "g", [], [], initializers)
    content = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]).SerializeToString()
    if shuffled:  # a field that protobuf would have written first
        content += onnx.ModelProto(ir_version=8).SerializeToString()
    (tmp_path / "model.onnx").write_bytes(content)
    save_file({"one": ones}, tmp_path / "one.safetensors")
    path = encode(
        tmp_path / "model.onnx", tmp_path / "graph.graphml", parameters=strategy, weights=tmp_path / "one.safetensors"
    ).graphml
    same = decode(path, tmp_path / "same.onnx", parameters=dict.fromkeys(names, ones), require_exact=True)
    assert same.onnx.read_bytes() == content
    arrays = {name: ones * number for number, name in enumerate(names)}
    result = decode(path, tmp_path / "edited.onnx", parameters=arrays)
    assert result.changed == ("first: F32[16, 24]", "third: F32[16, 24]")
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(result.onnx).graph.initializer}
    assert {name: array[0, 0] for name, array in found.items()} == {"first": 0, "second": 1, "third": 2}


def test_a_tensor_that_an_edit_made_two_of(graph: Path) -> None:
    """Both have its name in the sidecar, so that both change with it; it is listed once."""
    text = graph.read_text()
    line = next(line for line in text.splitlines() if '"name":"head","raw_data"' in line)
    copied = line.replace('"name":"head","raw_data"', '"name":"copy","raw_data"').rstrip(",")
    graph.write_text(text.replace(line, f"{copied},\n{line}"))
    result = decode(graph, parameters={"encoder.weight": WEIGHT, "head": 2 * HEAD})
    assert result.changed == ("head: F32[24, 20]",)
    found = {tensor.name: numpy_helper.to_array(tensor) for tensor in onnx.load(result.onnx).graph.initializer}
    np.testing.assert_array_equal(found["copy"], 2 * HEAD)
    np.testing.assert_array_equal(found["head"], 2 * HEAD)


def test_options_that_do_not_go_together(graph: Path) -> None:
    with pytest.raises(UsageError, match="from `parameters` or from the sidecar"):
        decode(graph, parameters={}, edited_weights=True)
    with pytest.raises(UsageError, match="cannot refer to weights that were edited"):
        decode(graph, edited_weights=True, external=True)
    with pytest.raises(NotExactError):
        decode(graph, parameters={"encoder.weight": -WEIGHT, "head": HEAD}, require_exact=True)
    assert not graph.with_suffix(".onnx").exists()


def test_the_weights_as_the_output(graph: Path) -> None:
    file = graph.with_name("w.safetensors")
    save_file({"encoder.weight": WEIGHT, "head": HEAD}, file)
    with pytest.raises(UsageError, match="input"):
        decode(graph, file, parameters=file, overwrite=True)


def test_no_sidecar_to_be_edited(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(model_of().SerializeToString())
    graph = encode(tmp_path / "model.onnx", tmp_path / "graph.graphml", parameters="embedded").graphml
    with pytest.raises(PayloadError, match="no sidecar"):
        decode(graph, tmp_path / "new.onnx", edited_weights=True)


def test_shapes_that_the_graph_says_too(graph: Path) -> None:
    """Pruned to fewer columns: an edit of ``dims`` in the graph, and of the arrays."""
    text = (
        graph.read_text("utf-8").replace('"dims":[16,24]', '"dims":[16,10]').replace('"dims":[24,20]', '"dims":[10,20]')
    )
    graph.write_text(text, "utf-8")
    result = decode(graph, parameters={"encoder.weight": WEIGHT[:, :10], "head": HEAD[:10]})
    np.testing.assert_allclose(computed(result.onnx), expected(WEIGHT[:, :10], HEAD[:10]), rtol=1e-5, atol=1e-5)


def test_what_is_kept_as_bytes(tmp_path: Path) -> None:
    """Types of less than a byte, typed fields, and data files are replaced by as many bytes."""
    four = TensorProto(name="four", data_type=TensorProto.INT4, dims=[50, 50], raw_data=bytes(1250))
    typed = TensorProto(name="typed", data_type=TensorProto.INT64, dims=[1100], int64_data=[1] * 1100)
    odd = TensorProto(name="odd", data_type=TensorProto.FLOAT, dims=[3], raw_data=bytes(2000))
    out = TensorProto(name="out", data_type=TensorProto.UINT8, dims=[4], data_location=TensorProto.EXTERNAL)
    out.external_data.add(key="location", value="w.bin")
    (tmp_path / "w.bin").write_bytes(b"1234")
    model = helper.make_model(helper.make_graph([], "g", [], [], [four, typed, odd, out]))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    graph = encode(tmp_path / "model.onnx", tmp_path / "graph.graphml").graphml
    weights = load_file(graph.with_suffix(".onnxdata"))
    assert decode(graph, tmp_path / "same.onnx", parameters=weights).exact
    new = {name: np.full_like(array, 2) for name, array in weights.items()}
    (tmp_path / "new").mkdir()
    result = decode(graph, tmp_path / "new/model.onnx", parameters=new)
    assert sorted(line.split(":")[0] for line in result.changed) == ["__g2o__/file/w.bin", "four", "odd", "typed"]
    assert (tmp_path / "new/w.bin").read_bytes() == b"\2\2\2\2"
    found = {item.name: item for item in onnx.load(result.onnx, load_external_data=False).graph.initializer}
    assert found["four"].raw_data == b"\2" * 1250
    assert list(found["typed"].int64_data) == [2] * 1100
    with pytest.raises(PayloadError, match="'typed' has the shape"):
        decode(graph, tmp_path / "x.onnx", parameters=weights | {"typed": np.zeros(3, np.uint8)})


def test_the_command(graph: Path) -> None:
    folder = graph.parent
    weights = load_file(graph.with_suffix(".onnxdata"))
    save_file(weights | {"head": 0 * HEAD}, folder / "w.safetensors")
    ran = in_process(folder, "decode", "graph.graphml", "--weights", "w.safetensors")
    assert ran.code == 0, ran.err
    assert "changed  head: F32[24, 20]" in ran.out
    assert "the model with 1 edited tensor" in ran.out
    ran = in_process(folder, "decode", "graph.graphml", "-o", "b.onnx", "--edited-weights", "--json")
    assert json.loads(ran.out)["changed"] == []
    (folder / "w.safetensors").replace(folder / "graph.onnxdata")
    ran = in_process(folder, "decode", "graph.graphml", "-o", "c.onnx")
    assert ran.code == 65
    assert "--edited-weights" in ran.err
    ran = in_process(folder, "decode", "graph.graphml", "-o", "c.onnx", "--edited-weights", "--json")
    assert json.loads(ran.out)["changed"] == ["head: F32[24, 20]"]
    assert not json.loads(ran.out)["exact"]


@pytest.mark.parametrize("command", ["view {} -o page.html", "extract {} --outputs h -o part.onnx"])
def test_other_commands_name_the_one_that_takes_edited_weights(graph: Path, command: str) -> None:
    """They have no such option themselves."""
    sidecar = graph.with_suffix(".onnxdata")
    save_file({name: array * 2 for name, array in load_file(sidecar).items()}, sidecar)
    ran = in_process(graph.parent, *command.replace("{}", graph.name).split())
    assert ran.code == 65
    assert "decode weights that were edited with --edited-weights" in ran.err
