"""Time by module, through the fusions of onnxruntime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import graphml_onnx
from graphml_onnx import UsageError, times
from graphml_onnx.errors import ModelError
from graphml_onnx.running.times import _Profile
from tests.common.command import in_process
from tests.running.models import LAYERS, chain

if TYPE_CHECKING:
    from graphml_onnx import Times

pytest.importorskip("onnxruntime")

FIXTURES = Path(__file__).parents[2] / "fixtures"
REAL = {
    "htp/winml-bert-mini-dynamo/model.onnx": None,
    "htp/winml-resnet-mini-torchscript/model.onnx": None,
    "htp/winml-resnet-mini-dynamo/model.onnx": None,
    "real/squeezenet_fp16.onnx": None,
    "real/magika_v3_3.onnx": None,
    "real/pp_ocr_v3_det.onnx": {"x": {"shape": [1, 3, 64, 64], "dtype": "float32"}},
}


def test_each_layer_has_its_time(tmp_path: Path) -> None:
    found = times(chain(tmp_path))
    modules = {time.name: time for time in found.modules}
    assert modules[""].share == pytest.approx(1)
    assert modules[""].seconds == found.seconds <= found.run_seconds
    for number in range(LAYERS):
        assert modules[f"encoder.layer.{number}"].operators >= 1
    inner = sum(modules[f"encoder.layer.{number}"].seconds for number in range(LAYERS))
    assert modules["encoder"].seconds == pytest.approx(inner)
    assert sum(time.seconds for time in found.types) == pytest.approx(found.seconds)


@pytest.mark.parametrize("model", REAL)
def test_real_models(model: str) -> None:
    found = times(FIXTURES / model, input_specs=REAL[model], runs=1)
    assert found.unassigned.share < 0.05
    assert found.modules[0].share + found.unassigned.share == pytest.approx(1)


def fused(folder: Path, *, named: bool) -> Path:
    """Conv and Relu of two modules, which become one operator, and a MatMul with its Add, which become a Gemm."""
    random = np.random.default_rng(0)
    weights = [
        numpy_helper.from_array(random.standard_normal(shape).astype(np.float32), name)
        for name, shape in (("w", (4, 3, 3, 3)), ("m", (16, 8)), ("b", (8,)))
    ]
    nodes = [
        ("/stem/conv/Conv", helper.make_node("Conv", ["x", "w"], ["/stem/conv/Conv_output_0"])),
        ("/stem/act/Relu", helper.make_node("Relu", ["/stem/conv/Conv_output_0"], ["/stem/act/Relu_output_0"])),
        ("/Flatten", helper.make_node("Flatten", ["/stem/act/Relu_output_0"], ["f"])),
        ("/head/MatMul", helper.make_node("MatMul", ["f", "m"], ["/head/MatMul_output_0"])),
        ("/head/Add", helper.make_node("Add", ["/head/MatMul_output_0", "b"], ["y"])),
    ]
    for name, node in nodes:
        node.name = name if named else ""
    sides = [
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8])],
    ]
    graph = helper.make_graph([node for _, node in nodes], "g", *sides, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "f.onnx")
    return folder / "f.onnx"


def operators(found: Times) -> dict[str, int]:
    return {time.name: time.operators for time in found.modules}


def test_a_fused_operator_counts_for_what_multiplies_in_it(tmp_path: Path) -> None:
    found = times(fused(tmp_path, named=True))
    assert not {"Relu", "Add", "MatMul"} & {time.name for time in found.types}
    counts = operators(found)
    assert counts["head"] == 1
    assert counts["stem.conv"] >= 1
    assert "stem.act" not in counts
    assert found.unassigned.operators == 0


def test_operators_without_names_go_by_their_place(tmp_path: Path) -> None:
    counts = operators(times(fused(tmp_path, named=False)))
    assert sum(counts.values()) >= counts[""] > 2


def test_graphml_has_its_modules(tmp_path: Path) -> None:
    graph = graphml_onnx.encode(chain(tmp_path), tmp_path / "graph.graphml").graphml
    before = sorted(tmp_path.rglob("*"))
    assert operators(times(graph)) == operators(times(tmp_path / "model.onnx"))
    assert sorted(tmp_path.rglob("*")) == before  # no profile is left


def event(name: str, begin: int, end: int) -> dict[str, object]:
    return {"cat": "Node", "name": name, "ts": begin, "dur": end - begin, "args": {"op_name": name[:2]}}


def test_what_a_body_ran_lies_within_its_operator() -> None:
    events = []
    for start in (0, 1000, 2000):  # the first run is not measured
        events += [
            event("model_run", start, start + 900),
            event("a_kernel_time", start, start + 100),
            event("inner_kernel_time", start + 210, start + 290),
            event("if_kernel_time", start + 200, start + 300),
            event("b_kernel_time", start + 300, start + 600),
            event("SequentialExecutor::Execute", start, start + 899),
        ]
    profile = _Profile.of(events, 2)
    assert [(found.name, round(found.seconds * 1e6)) for found in profile.events] == [
        ("a", 100),
        ("if", 100),
        ("b", 300),
    ]
    assert profile.run_seconds == pytest.approx(900e-6)


def test_what_cannot_be_measured(tmp_path: Path) -> None:
    path = chain(tmp_path)
    with pytest.raises(UsageError, match=r"no provider 'warp'.*cpu"):
        times(path, providers=["warp"])
    with pytest.raises(ModelError, match="cannot run it"):
        times(path, input_data={"x": np.ones((2, 9), np.float32)})
    model = onnx.load(path)
    model.graph.node[0].op_type = "Nonsense"
    onnx.save(model, path)
    with pytest.raises(ModelError, match="cannot run it"):
        times(path)


def test_the_command(tmp_path: Path) -> None:
    chain(tmp_path)
    ran = in_process(tmp_path, "inspect", "model.onnx", "--times", "--runs", "2", "--shape", "batch=4")
    lines = ran.out.splitlines()
    assert ran.code == 0
    assert lines[0] == "2 runs on CPUExecutionProvider, with x[4, 8]"
    assert "% of it in operators" in lines[1]
    assert [line.split()[0] for line in lines[3:]] == [
        "module",
        "chain",
        "encoder",
        *(f"layer.{n}" for n in range(LAYERS)),
    ]
    types = in_process(tmp_path, "inspect", "model.onnx", "--times", "--by", "op").out
    assert "FusedGemm" in types
    told = json.loads(in_process(tmp_path, "inspect", "model.onnx", "--times", "--json").out)
    assert told["modules"][0]["share"] == pytest.approx(1)
    assert told["runs"] == 5


@pytest.mark.parametrize(
    "arguments", [["--times", "--stats"], ["--runs", "3"], ["--provider", "cpu"], ["--times", "model.onnx"]]
)
def test_options_that_do_not_go_together(tmp_path: Path, arguments: list[str]) -> None:
    chain(tmp_path)
    assert in_process(tmp_path, "inspect", "model.onnx", *arguments).code == 2
