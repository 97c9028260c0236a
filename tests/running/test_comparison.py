"""Two models run on the same inputs: what is compared, how far it is apart, and where they part."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from onnx import TensorProto, helper

import graphml_onnx
from graphml_onnx import UsageError, numeric_diff
from graphml_onnx.errors import InputError, ModelError
from graphml_onnx.running import comparison
from graphml_onnx.running.figures import Figures
from tests.common.command import in_process
from tests.running.models import LAYERS, chain

if TYPE_CHECKING:
    import numpy.typing as npt

    from graphml_onnx.results import ParameterStrategy

onnxruntime = pytest.importorskip("onnxruntime")

FIXTURES = Path(__file__).parents[2] / "fixtures"


@pytest.mark.parametrize("layer", range(LAYERS))
def test_a_disturbed_layer_is_named(tmp_path: Path, layer: int) -> None:
    old, new = chain(tmp_path), chain(tmp_path, "new.onnx", disturbed=layer)
    found = numeric_diff(old, new)
    assert found.first is not None
    assert (found.first.module, found.first.op_type) == (f"encoder.layer.{layer}", "MatMul")
    equal = {row.tensor: row.figures.is_equal for row in found.tensors}
    for number in range(LAYERS):
        assert equal[f"/encoder/layer.{number}/MatMul_output_0"] == (number < layer)
    modules = {module.path: module for module in found.modules}
    assert modules[""].tensors == 3 * LAYERS + 1
    assert modules["encoder"].lowest == min(row.figures.sqnr for row in found.tensors if row.module)
    assert [math.isinf(modules[f"encoder.layer.{n}"].sqnr) for n in range(LAYERS)] == [n < layer for n in range(LAYERS)]


def test_a_model_does_not_part_from_itself(tmp_path: Path) -> None:
    path = chain(tmp_path)
    found = numeric_diff(path, path)
    assert found.first is None
    assert all(row.figures.is_equal for row in found.tensors)
    assert [output.tensor for output in found.outputs] == ["y"]


def test_the_figures_are_those_of_numpy(tmp_path: Path) -> None:
    old, new = chain(tmp_path), chain(tmp_path, "new.onnx", disturbed=2)
    x = np.random.default_rng(7).standard_normal((5, 8)).astype(np.float32)
    found = numeric_diff(old, new, input_data={"x": x})
    one, other = (onnxruntime.InferenceSession(str(path)).run(["y"], {"x": x})[0] for path in (old, new))
    one, other = one.astype(np.float64), other.astype(np.float64)
    figures = found.outputs[0].figures
    assert figures.sqnr == pytest.approx(10 * np.log10(np.sum(one**2) / np.sum((one - other) ** 2)), rel=1e-4)
    assert figures.cosine == pytest.approx(np.sum(one * other) / np.linalg.norm(one) / np.linalg.norm(other), rel=1e-4)
    assert figures.largest_absolute == pytest.approx(np.max(np.abs(one - other)), rel=1e-4)
    assert figures.largest_relative == pytest.approx(np.max(np.abs(one - other) / np.abs(one)), rel=1e-4)


VALUES = st.floats(-1e3, 1e3, width=32)


@given(data=st.data(), shape=arrays.array_shapes(max_dims=3, max_side=6))
def test_figures_of_any_arrays(data: st.DataObject, shape: tuple[int, ...]) -> None:
    one, other = (data.draw(arrays.arrays(np.float32, shape, elements=VALUES)).astype(np.float64) for _ in range(2))
    figures = Figures.of(one, other)
    noise, signal = np.sum((one - other) ** 2), np.sum(one**2)
    assert figures.size == one.size
    assert figures.is_equal == np.array_equal(one, other)
    assert figures.largest_absolute == np.max(np.abs(one - other))
    if noise and signal:
        assert figures.sqnr == pytest.approx(10 * np.log10(signal / noise))
    else:
        assert figures.sqnr == (math.inf if not noise else -math.inf)
    assert all(value is None or isinstance(value, bool | int | float) for value in figures.to_dict().values())


@pytest.mark.parametrize(
    ("one", "other", "largest"),
    [
        ([np.nan, 1], [np.nan, 1], 0),
        ([np.inf, 1], [np.inf, 2], 1),
        ([np.inf, 1], [-np.inf, 1], math.inf),
        ([np.nan, 1], [0, 1], math.inf),
        ([], [], 0),
    ],
)
def test_infinities_and_nan(one: list[float], other: list[float], largest: float) -> None:
    figures = Figures.of(np.array(one, np.float32), np.array(other, np.float32))
    assert figures.largest_absolute == largest
    assert figures.sqnr == (math.inf if not largest else -math.inf if math.isinf(largest) else 0)


def test_what_half_precision_cannot_hold_is_its_largest_number() -> None:
    mask = np.array([-3.4e38, 1.0], np.float32)
    assert Figures.of(mask, np.array([-65504, 1], np.float16)).is_equal
    assert not Figures.of(mask, np.array([-np.inf, 1], np.float16)).is_equal


def test_arrays_are_compared_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    one, other = random.standard_normal((2, 1000))
    whole = Figures.of(one, other)
    monkeypatch.setattr("graphml_onnx.running.figures._PIECE", 7)
    pieces = Figures.of(one, other)
    assert pieces.sqnr == pytest.approx(whole.sqnr)
    assert (pieces.size, pieces.largest_absolute) == (whole.size, whole.largest_absolute)


def test_tensors_come_in_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = chain(tmp_path), chain(tmp_path, "new.onnx", disturbed=3)
    whole = numeric_diff(old, new)
    monkeypatch.setattr(comparison, "_BATCH", 200)  # three of them
    stages: list[tuple[str, int, int]] = []
    batches = numeric_diff(old, new, progress=lambda name, done, total, _: stages.append((name, done, total)))
    assert batches == whole
    assert stages[-1][2] > 3


def test_graphml_and_data_files(tmp_path: Path) -> None:
    old = chain(tmp_path)
    graph = graphml_onnx.encode(old, tmp_path / "graph.graphml").graphml
    (tmp_path / "elsewhere").mkdir()
    onnx.save(
        onnx.load(old), tmp_path / "elsewhere" / "data.onnx", save_as_external_data=True, size_threshold=0, location="d"
    )
    for new in (graph, tmp_path / "elsewhere" / "data.onnx"):
        before = sorted(tmp_path.rglob("*"))
        found = numeric_diff(old, new)
        assert len(found.tensors) == 3 * LAYERS + 1
        assert all(row.figures.is_equal for row in found.tensors)
        assert sorted(tmp_path.rglob("*")) == before  # nothing was written


LARGE = 1 << 14  # numbers of a weight that onnxruntime maps from its file


def wide(folder: Path) -> Path:
    """A model whose one weight is large."""
    weight = onnx.numpy_helper.from_array(np.random.default_rng(0).standard_normal((2, LARGE)).astype(np.float32), "w")
    sides = [[helper.make_tensor_value_info(side, TensorProto.FLOAT, None)] for side in "xy"]
    sides[0] = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [3, 2])]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"], "/MatMul")], "wide", *sides, [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "wide.onnx")
    return folder / "wide.onnx"


@pytest.mark.parametrize("parameters", ["sidecar", "embedded", "reference"])
@pytest.mark.parametrize("is_external", [False, True])
def test_large_weights_wherever_they_are(tmp_path: Path, parameters: ParameterStrategy, *, is_external: bool) -> None:
    old = wide(tmp_path)
    model = old
    if is_external:
        model = tmp_path / "data.onnx"
        onnx.save(onnx.load(old), model, save_as_external_data=True, size_threshold=0, location="d")
    graph = graphml_onnx.encode(model, tmp_path / "graph.graphml", parameters=parameters).graphml
    for new in (model, graph):
        (row,) = numeric_diff(old, new).tensors
        assert row.figures.is_equal
        assert row.figures.size == 3 * LARGE


def test_a_data_file_that_is_gone(tmp_path: Path) -> None:
    old = wide(tmp_path)
    onnx.save(onnx.load(old), tmp_path / "new.onnx", save_as_external_data=True, size_threshold=0, location="d")
    (tmp_path / "d").unlink()
    with pytest.raises(InputError, match="'w'"):
        numeric_diff(old, tmp_path / "new.onnx")


def test_half_precision(tmp_path: Path) -> None:
    convert = pytest.importorskip("onnxruntime.transformers.float16").convert_float_to_float16
    old = chain(tmp_path)
    onnx.save(convert(onnx.load(old)), tmp_path / "half.onnx")
    found = numeric_diff(old, tmp_path / "half.onnx")
    assert found.first is None
    assert 40 < found.outputs[0].figures.sqnr < 90


NEWER = pytest.mark.needs("onnxruntime>=1.32")  # 1.23 has no ConvInteger of these types


@pytest.mark.parametrize("name", ["winml-bert-mini-dynamo", pytest.param("winml-resnet-mini-torchscript", marks=NEWER)])
def test_a_quantised_model_with_a_disturbed_layer(tmp_path: Path, name: str) -> None:
    quantization = pytest.importorskip("onnxruntime.quantization")
    old = FIXTURES / "htp" / name / "model.onnx"
    quantization.quantize_dynamic(old, tmp_path / "int8.onnx")
    rounded = numeric_diff(old, tmp_path / "int8.onnx")
    assert rounded.tensors
    assert {row.figures.is_equal for row in rounded.tensors} == {True, False}
    model = onnx.load(tmp_path / "int8.onnx")
    weight = [tensor for tensor in model.graph.initializer if tensor.name.endswith("_quantized")][2]
    values = onnx.numpy_helper.to_array(weight)
    weight.CopyFrom(onnx.numpy_helper.from_array(values.reshape(-1)[::-1].reshape(values.shape), weight.name))
    onnx.save(model, tmp_path / "disturbed.onnx")
    (taker,) = [node for node in onnx.load(old).graph.node if weight.name.removesuffix("_quantized") in node.input]
    first = numeric_diff(old, tmp_path / "disturbed.onnx").first
    assert first is not None
    assert first.operator == taker.name


def test_what_has_no_partner_is_told(tmp_path: Path) -> None:
    old = chain(tmp_path)
    model = onnx.load(old)
    del model.graph.node[-2]
    model.graph.node[-1].input[0] = model.graph.node[-2].output[0]
    onnx.save(model, tmp_path / "shorter.onnx")
    found = numeric_diff(old, tmp_path / "shorter.onnx")
    assert found.left_out == {f"/encoder/layer.{LAYERS - 1}/Tanh_output_0": "no partner"}


def test_another_shape_is_left_out(tmp_path: Path) -> None:
    paths = []
    for keep in (0, 1):
        node = helper.make_node("ReduceMax", ["x"], ["y"], axes=[1], keepdims=keep)
        sides = [[helper.make_tensor_value_info(side, TensorProto.FLOAT, None)] for side in "xy"]
        sides[0] = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3])]
        nodes = [node, helper.make_node("Neg", ["x"], ["z"])]
        graph = helper.make_graph(nodes, "g", *sides)
        paths.append(tmp_path / f"{keep}.onnx")
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), paths[-1])
    assert numeric_diff(*paths).left_out == {"y": "another shape"}


def test_inputs_that_are_given(tmp_path: Path) -> None:
    path = chain(tmp_path)
    np.savez(tmp_path / "x.npz", x=np.ones((4, 8), np.float32))
    assert numeric_diff(path, path, input_data=tmp_path / "x.npz").inputs == {"x": (4, 8)}
    assert numeric_diff(path, path, input_specs={"x": {"shape": [6, 8], "dtype": "float32"}}).inputs == {"x": (6, 8)}
    assert numeric_diff(path, path, sizes={"batch": 5}).inputs == {"x": (5, 8)}
    one, other = (numeric_diff(path, chain(tmp_path, "new.onnx", disturbed=0), seed=seed) for seed in (1, 2))
    assert one.tensors != other.tensors


def test_an_input_that_the_old_model_does_not_have(tmp_path: Path) -> None:
    paths = []
    for names in ("a", "ab"):
        sides = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in names]
        graph = helper.make_graph(
            [helper.make_node("Sum", [*names], ["y"])], "g", sides, [helper.make_tensor_value_info("y", 1, [2, 3])]
        )
        paths.append(tmp_path / f"{names}.onnx")
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), paths[-1])
    with pytest.raises(ModelError, match=r"ab\.onnx: its input 'b' corresponds to none of the other model"):
        numeric_diff(*paths)
    assert numeric_diff(*reversed(paths)).tensors


def test_wrong_inputs(tmp_path: Path) -> None:
    path = chain(tmp_path)
    (tmp_path / "x.npz").write_bytes(b"no zip")
    data: dict[str, npt.NDArray[np.generic]] = {"x": np.ones((4, 9), np.float32)}
    with pytest.raises(ModelError, match="onnxruntime cannot run it"):
        numeric_diff(path, path, input_data=data)
    with pytest.raises(UsageError, match="no input 'z', which `input_data`"):
        numeric_diff(path, path, input_data={"z": data["x"]})
    with pytest.raises(UsageError, match=r"no \.npz file"):
        numeric_diff(path, path, input_data=tmp_path / "x.npz")
    with pytest.raises(InputError):
        numeric_diff(path, path, input_data=tmp_path / "gone.npz")
    with pytest.raises(UsageError, match="contradict"):
        numeric_diff(path, path, input_data=data, input_specs={})
    with pytest.raises(UsageError, match=r"no input has a dimension 'length'.*batch"):
        numeric_diff(path, path, sizes={"length": 5})
    empty = onnx.load(path)
    del empty.graph.node[:]
    empty.graph.output[0].name = "x"
    onnx.save(empty, tmp_path / "empty.onnx")
    with pytest.raises(UsageError, match="no tensor in common"):
        numeric_diff(tmp_path / "empty.onnx", path, input_data={"x": np.ones((1, 8), np.float32)})
    with pytest.raises(ModelError, match="winml-resnet-mini"):
        numeric_diff(path, FIXTURES / "htp" / "winml-resnet-mini-torchscript" / "model.onnx")


def test_the_command(tmp_path: Path) -> None:
    chain(tmp_path)
    chain(tmp_path, "new.onnx", disturbed=3)
    ran = in_process(tmp_path, "diff", "model.onnx", "new.onnx", "--numeric", "--shape", "batch=3")
    lines = ran.out.splitlines()
    assert ran.code == 1
    assert lines[0] == f"{3 * LAYERS + 1} tensors compared, with x[3, 8]"
    assert "equal" in next(line for line in lines if line.strip().startswith("layer.2"))
    assert lines[-1].startswith("the models diverge in encoder.layer.3: MatMul '/encoder/layer.3/MatMul', SQNR ")
    same = in_process(tmp_path, "diff", "model.onnx", "model.onnx", "--numeric", "--depth", "0")
    assert (same.code, same.out.splitlines()[-1]) == (0, "the models do not diverge: no SQNR is below 20 dB")
    told = json.loads(in_process(tmp_path, "diff", "model.onnx", "new.onnx", "--numeric", "--json").out)
    assert told["first"]["module"] == "encoder.layer.3"
    assert told["first"]["operator"] == "/encoder/layer.3/MatMul"
    assert len(told["tensors"]) == 3 * LAYERS + 1
    low = in_process(tmp_path, "diff", "model.onnx", "new.onnx", "--numeric", "--threshold", "-99", "--quiet")
    assert (low.code, low.out) == (0, "")


@pytest.mark.parametrize("arguments", [["--numeric", "--stats"], ["--seed", "1"], ["--depth", "1"], ["--dim", "a=1"]])
def test_options_that_do_not_go_together(tmp_path: Path, arguments: list[str]) -> None:
    chain(tmp_path)
    assert in_process(tmp_path, "diff", "model.onnx", "model.onnx", *arguments).code == 2
