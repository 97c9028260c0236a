"""Modules as functions, and back: the same outputs, one definition for modules that look the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import graphml_onnx
from graphml_onnx import UsageError, functions, inline, verify
from graphml_onnx.errors import ModelError, OutputError
from graphml_onnx.inputs.made import first_run
from tests.common.command import in_process
from tests.running.models import LAYERS, chain

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

FIXTURES = Path(__file__).parents[2] / "fixtures"
MODELS = [
    "htp/winml-bert-mini-dynamo/model.onnx",
    "htp/winml-resnet-mini-dynamo/model.onnx",
    "htp/winml-resnet-mini-torchscript/model.onnx",
    "real/magika_v3_3.onnx",
    "real/pp_ocr_v3_det.onnx",
    "real/squeezenet_fp16.onnx",
    "real/coreml_bike_sharing.onnx",
]


def outputs(path: Path, feed: Mapping[str, object] | None = None) -> tuple[Mapping[str, object], Sequence[object]]:
    """The outputs of a model for some inputs, operator by operator."""
    onnxruntime = pytest.importorskip("onnxruntime")
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(str(path), options)
    if feed is not None:
        return feed, session.run(None, feed)

    def run(made: Mapping[str, object]) -> Sequence[object]:
        try:
            found: Sequence[object] = session.run(None, made)
        except Exception as error:
            from graphml_onnx.inputs.made import CannotRunError

            raise CannotRunError(str(error)) from error
        return found

    return first_run(session.get_inputs(), {}, run)


def same(one: object, other: object) -> bool:
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return one.dtype == other.dtype and one.tobytes() == other.tobytes()
    return str(one) == str(other)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("depth", [None, 1, 2])
def test_the_outputs_are_the_same(tmp_path: Path, model: str, depth: int | None) -> None:
    folded = functions(FIXTURES / model, tmp_path / "functions.onnx", depth=depth)
    flat = inline(folded.onnx, tmp_path / "flat.onnx")
    onnx.checker.check_model(folded.onnx)
    onnx.checker.check_model(flat.onnx)
    assert folded.functions
    assert not flat.functions
    assert "g2o.modules" not in {entry.domain for entry in onnx.load(flat.onnx).opset_import}
    whole = onnx.load(FIXTURES / model).graph.node
    assert sorted(n.op_type for n in whole) == sorted(n.op_type for n in onnx.load(flat.onnx).graph.node)
    assert verify(folded.onnx).passed
    feed, wanted = outputs(FIXTURES / model)
    for path in (folded.onnx, flat.onnx):
        assert all(same(a, b) for a, b in zip(wanted, outputs(path, feed)[1], strict=True))


def test_equal_modules_share_one_definition(tmp_path: Path) -> None:
    result = functions(chain(tmp_path), tmp_path / "functions.onnx")
    model = onnx.load(result.onnx)
    assert [function.name for function in model.functions] == ["layer", "encoder"]
    layer, encoder = model.functions
    assert [node.op_type for node in layer.node] == ["MatMul", "Add", "Tanh"]
    assert [node.op_type for node in encoder.node] == ["layer"] * LAYERS
    assert [node.name for node in encoder.node] == [f"/encoder/layer/{n}/layer" for n in reversed(range(LAYERS))][::-1]
    assert layer.doc_string.startswith("module encoder.layer.")
    assert [node.op_type for node in model.graph.node] == ["encoder", "Identity"]
    assert {tensor.name for tensor in model.graph.initializer} <= set(model.graph.node[0].input)


def test_depth(tmp_path: Path) -> None:
    model = onnx.load(functions(chain(tmp_path), tmp_path / "functions.onnx", depth=1).onnx)
    assert [function.name for function in model.functions] == ["encoder"]
    assert len(model.functions[0].node) == 3 * LAYERS


def test_the_modules_are_found_again(tmp_path: Path) -> None:
    result = functions(chain(tmp_path), tmp_path / "functions.onnx", depth=2)
    with graphml_onnx.open(inline(result.onnx, tmp_path / "flat.onnx").onnx) as graph:
        paths = {module.path for module in graph.modules}
    assert {f"encoder.layer.{number}" for number in range(LAYERS)} <= paths


def named(op_type: str, inputs: list[str], output: str, scope: str) -> onnx.NodeProto:
    return helper.make_node(op_type, inputs, [output], f"/{scope}/{op_type}_{output}")


def save(folder: Path, nodes: Sequence[onnx.NodeProto], outs: Sequence[str] = ("y",)) -> Path:
    sides = [
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3]) for name in names] for names in (("x",), outs)
    ]
    graph = helper.make_graph(list(nodes), "g", *sides)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    onnx.save(model, folder / "model.onnx")
    return folder / "model.onnx"


def test_a_module_that_others_run_between_is_split(tmp_path: Path) -> None:
    nodes = [
        named("Relu", ["x"], "a", "first"),
        named("Neg", ["a"], "b", "second"),
        named("Abs", ["b"], "c", "first"),
        named("Exp", ["a"], "d", "first"),
        named("Add", ["c", "d"], "y", "first"),
    ]
    path = save(tmp_path, nodes)
    result = functions(path, tmp_path / "functions.onnx")
    model = onnx.load(result.onnx)
    onnx.checker.check_model(result.onnx)
    assert result.split == ("first",)
    assert [node.op_type for node in model.graph.node] == ["first", "second", "first_2"]
    assert [[n.op_type for n in f.node] for f in model.functions if f.name.startswith("first")] == [
        ["Relu", "Exp"],
        ["Abs", "Add"],
    ]
    assert [[(p.key, p.value) for p in node.metadata_props] for node in model.graph.node] == [
        [("g2o.module", "first")],
        [("g2o.module", "second")],
        [("g2o.module", "first")],
    ]
    feed, wanted = outputs(path)
    assert same(wanted[0], outputs(result.onnx, feed)[1][0])


def test_two_modules_that_take_from_each_other(tmp_path: Path) -> None:
    nodes = [
        named("Relu", ["x"], "a1", "one"),
        named("Neg", ["x"], "b2", "two"),
        named("Abs", ["a1"], "y", "two"),
        named("Exp", ["b2"], "z", "one"),
    ]
    path = save(tmp_path, nodes, ("y", "z"))
    result = functions(path, tmp_path / "functions.onnx")
    onnx.checker.check_model(result.onnx)
    assert len(result.split) == 1
    feed, wanted = outputs(path)
    assert all(same(a, b) for a, b in zip(wanted, outputs(result.onnx, feed)[1], strict=True))


def test_bodies_take_tensors_of_their_surroundings(tmp_path: Path) -> None:
    body = helper.make_graph(
        [helper.make_node("Mul", ["h", "x"], ["r"])], "b", [], [helper.make_tensor_value_info("r", 1, None)]
    )
    nodes = [
        named("Relu", ["x"], "h", "first"),
        helper.make_node("ReduceMax", ["x"], ["m"], "/second/ReduceMax", keepdims=0),
        helper.make_node("Cast", ["m"], ["c"], "/second/Cast", to=TensorProto.BOOL),
        helper.make_node("If", ["c"], ["y"], "/second/If", then_branch=body, else_branch=body),
    ]
    path = save(tmp_path, nodes)
    result = functions(path, tmp_path / "functions.onnx")
    flat = inline(result.onnx, tmp_path / "flat.onnx")
    (second,) = [f for f in onnx.load(result.onnx).functions if f.name == "second"]
    assert set(second.input) == {"x", "h"}
    feed, wanted = outputs(path)
    for file in (result.onnx, flat.onnx):
        onnx.checker.check_model(file)
        assert same(wanted[0], outputs(file, feed)[1][0])


def test_data_files_and_graphml(tmp_path: Path) -> None:
    path = chain(tmp_path)
    graph = graphml_onnx.encode(path, tmp_path / "graph.graphml").graphml
    (tmp_path / "elsewhere").mkdir()
    onnx.save(onnx.load(path), tmp_path / "data.onnx", save_as_external_data=True, size_threshold=0, location="d")
    one = functions(graph, tmp_path / "elsewhere" / "one.onnx").onnx
    other = functions(tmp_path / "data.onnx", tmp_path / "elsewhere" / "other.onnx")
    feed, wanted = outputs(path)
    assert other.data == tmp_path / "elsewhere" / "other.onnx.data"
    for file in (one, other.onnx):
        assert same(wanted[0], outputs(file, feed)[1][0])


def test_what_cannot_be_done(tmp_path: Path) -> None:
    path = save(tmp_path, [helper.make_node("Relu", ["x"], ["y"])])
    with pytest.raises(UsageError, match="no modules"):
        functions(path, tmp_path / "functions.onnx")
    (tmp_path / "there.onnx").touch()
    with pytest.raises(OutputError):
        inline(path, tmp_path / "there.onnx")
    function = helper.make_function("own", "F", ["a"], ["b"], [helper.make_node("F", ["a"], ["b"], domain="own")],
                                    [helper.make_opsetid("own", 1)])  # fmt: skip
    graph = helper.make_graph([helper.make_node("F", ["x"], ["y"], domain="own")], "g", [], [])
    opsets = [helper.make_opsetid("own", 1), helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, functions=[function], opset_imports=opsets), tmp_path / "circle.onnx")
    with pytest.raises(ModelError, match="'F' calls itself"):
        inline(tmp_path / "circle.onnx", tmp_path / "flat.onnx")
    assert not (tmp_path / "flat.onnx").exists()


def test_the_commands(tmp_path: Path) -> None:
    chain(tmp_path)
    ran = in_process(tmp_path, "functions", "model.onnx", "-o", "functions.onnx")
    assert ran.code == 0
    assert [line.split()[:2] for line in ran.out.splitlines()[1:]] == [["functions", "2"], ["operators", "2"]]
    told = json.loads(in_process(tmp_path, "inline", "functions.onnx", "-o", "flat.onnx", "--json").out)
    assert (told["functions"], told["operators"], told["error"]) == (0, 3 * LAYERS + 1, None)
    assert in_process(tmp_path, "inline", "functions.onnx", "-o", "flat.onnx").code == 73


def test_names_without_a_path_stay_with_their_module(tmp_path: Path) -> None:
    """The definition is from one module; others must not take its names when they are put in first."""
    path = chain(tmp_path)
    model = onnx.load(path)
    for number, node in enumerate(model.graph.node[:-1]):
        old, node.output[0] = node.output[0], f"t{number}"
        for other in model.graph.node:
            other.input[:] = [f"t{number}" if name == old else name for name in other.input]
    onnx.save(model, path)
    flat = inline(functions(path, tmp_path / "functions.onnx").onnx, tmp_path / "flat.onnx").onnx
    wanted = {node.name: node.output[0] for node in model.graph.node}
    for node in onnx.load(flat).graph.node:
        assert node.output[0] == wanted[node.name] or node.output[0] not in wanted.values()


def told(node: onnx.NodeProto) -> list[tuple[str, str]]:
    return [(entry.key, entry.value) for entry in node.metadata_props]


@pytest.mark.parametrize("ir_version", [8, 10])
@pytest.mark.parametrize("depth", [None, 2])
def test_metadata_of_modules_that_share_a_definition(tmp_path: Path, depth: int | None, ir_version: int) -> None:
    """Each operator gets its own back; the definition says only what is true of all the modules.

    Some exporters write metadata of operators before IR version 10, too.
    """
    path = tmp_path / "model.onnx"
    model = onnx.load(FIXTURES / "htp/winml-resnet-mini-dynamo/model.onnx")
    model.ir_version = ir_version
    onnx.save(model, path)
    made = functions(path, tmp_path / "functions.onnx", depth=depth).onnx
    flat = inline(made, tmp_path / "flat.onnx").onnx
    wanted = sorted((node.op_type, node.name, *told(node)) for node in onnx.load(path).graph.node)
    assert sorted((node.op_type, node.name, *told(node)) for node in onnx.load(flat).graph.node) == wanted
    with graphml_onnx.open(path) as before, graphml_onnx.open(flat) as after:
        modules = [sorted((o.op_type, o.module.path) for o in graph.operators) for graph in (before, after)]
    assert modules[0] == modules[1]
    shared = [f for f in onnx.load(made).functions if "," in f.doc_string]
    assert bool(shared) == (depth is None)
    assert not any(key == "winml.hierarchy.tag" for f in shared for node in f.node for key, _ in told(node))
    assert [entry.key for entry in onnx.load(flat).metadata_props] == [entry.key for entry in model.metadata_props]


@pytest.mark.parametrize("value", ["", "[", "3", "[3]", '{"%s":3}', '{"%s":[3]}', '{"%s":[["a",3]]}', "[" * 100_000])
def test_damaged_metadata_of_a_call_are_left_out(tmp_path: Path, value: str) -> None:
    made = functions(FIXTURES / MODELS[1], tmp_path / "functions.onnx").onnx
    model = onnx.load(made)
    (entry,) = (entry for entry in model.metadata_props if entry.key == "g2o.operators")
    entry.value = value.replace("%s", next(iter(json.loads(entry.value))))
    onnx.save(model, made)
    flat = inline(made, tmp_path / "flat.onnx").onnx
    assert len(onnx.load(flat).graph.node) == len(onnx.load(FIXTURES / MODELS[1]).graph.node)


def test_metadata_do_not_go_to_the_operators_of_an_edited_function(tmp_path: Path) -> None:
    path = FIXTURES / MODELS[1]
    made = functions(path, tmp_path / "functions.onnx").onnx
    model = onnx.load(made)
    function = next(f for f in model.functions if "," in f.doc_string and not any(n.domain for n in f.node))
    function.node.insert(0, helper.make_node("Neg", [function.input[0]], ["unused"], "added"))
    onnx.save(model, made)
    tags = {o.name: told(o) for o in onnx.load(path).graph.node}
    for node in onnx.load(inline(made, tmp_path / "flat.onnx").onnx).graph.node:
        assert node.op_type == "Neg" or set(told(node)) <= {entry for entries in tags.values() for entry in entries}
        assert node.op_type != "Neg" or not told(node)


def test_functions_of_functions(tmp_path: Path) -> None:
    made = functions(chain(tmp_path), tmp_path / "functions.onnx").onnx
    with pytest.raises(UsageError, match="functions already"):
        functions(made, tmp_path / "again.onnx")


def test_outputs_are_compared_by_name(tmp_path: Path) -> None:
    """Whatever the operators that make them are called."""
    path = chain(tmp_path)
    model = onnx.load(path)
    names = [node.name for node in model.graph.node]
    for node, name in zip(model.graph.node, reversed(names), strict=True):
        node.name = name
    onnx.save(model, tmp_path / "renamed.onnx")
    pytest.importorskip("onnxruntime")
    (output,) = graphml_onnx.numeric_diff(path, tmp_path / "renamed.onnx").outputs
    assert output.figures.is_equal
