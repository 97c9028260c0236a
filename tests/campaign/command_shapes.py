"""Shapes of input for the commands that read models as graphs: what they make of it grows no faster than it does."""

from __future__ import annotations

import contextlib
import functools
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, helper

import graphml_onnx
from graphml_onnx.errors import GraphmlOnnxError
from graphml_onnx.graph.inspection import folded_shares, operator_shares
from graphml_onnx.graph.textual import text_lines
from tests.campaign import scratch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Run = Callable[[bytes, Path], object]

_MODULES = 20


def _swallowing(run: Callable[[Path, Path], object]) -> Run:
    """Writes the input to a file for a command, whose own errors count as an answer."""

    def with_file(data: bytes, folder: Path) -> None:
        model = folder / "model.onnx"
        model.write_bytes(data)
        with contextlib.suppress(GraphmlOnnxError), scratch.no_waiting():
            run(model, folder)

    return with_file


def _inspect(model: Path, _: Path) -> None:
    with graphml_onnx.open(model, infer_shapes=True) as graph:
        folded_shares(graph.root)
        operator_shares(graph.root)


def _textconv(model: Path, _: Path) -> None:
    with graphml_onnx.open(model) as graph:
        for _line in text_lines(graph):
            pass


def _tables(model: Path, folder: Path) -> None:
    graphml_onnx.tables(model, folder / "tables")


def _view(model: Path, folder: Path) -> None:
    graphml_onnx.view(model, folder / "page.html", overwrite=True)


def _extract(model: Path, folder: Path) -> None:
    last = onnx.load(model, load_external_data=False).graph.node[-1].output[0]
    graphml_onnx.extract(model, folder / "part.onnx", outputs=[last], overwrite=True)


def _replace(model: Path, folder: Path) -> None:
    graphml_onnx.extract(model, folder / "part.onnx", module="layer.0", overwrite=True)
    graphml_onnx.replace(model, folder / "part.onnx", folder / "whole.onnx", module="layer.0", overwrite=True)


def _functions(model: Path, folder: Path) -> None:
    graphml_onnx.functions(model, folder / "functions.onnx", overwrite=True)
    graphml_onnx.inline(folder / "functions.onnx", folder / "flat.onnx", overwrite=True)


def _diff(change: Callable[[onnx.ModelProto], object], model: Path, folder: Path) -> None:
    """Compares a model with what a change makes of it, both ways."""
    changed = onnx.load(model)
    change(changed)
    onnx.save(changed, folder / "changed.onnx")
    graphml_onnx.diff(model, folder / "changed.onnx")
    graphml_onnx.diff(folder / "changed.onnx", model)


def _rename(model: onnx.ModelProto) -> None:
    for number, node in enumerate(model.graph.node):
        node.name = f"other{number}"
        node.input[:] = [f"_{name}" for name in node.input]
        node.output[:] = [f"_{name}" for name in node.output]


def _turn(model: onnx.ModelProto) -> None:
    nodes = [*model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(reversed(nodes))


def _replace_types(model: onnx.ModelProto) -> None:
    for node in model.graph.node:
        node.op_type = "Neg"


def _halve(model: onnx.ModelProto) -> None:
    del model.graph.node[::2]


def _batch(data: bytes, folder: Path) -> None:
    """As many models as the input has pieces of the size of one."""
    models = folder / "models"
    models.mkdir()
    size = len(_one_model())
    for start in range(0, len(data), size):
        (models / f"{start}.onnx").write_bytes(data[start : start + size])
    with scratch.no_waiting():
        graphml_onnx.batch(models, folder / "zoo", workers=1, do=("encode", "verify", "tables"))
        graphml_onnx.batch(models, folder / "zoo", workers=1, do=("encode", "verify", "tables"), resume=True)
    for made in (models, folder / "zoo"):
        shutil.rmtree(made)


# --- inputs -----------------------------------------------------------------------------------------------------------


def _model(nodes: list[onnx.NodeProto], weights: list[onnx.TensorProto] | None = None) -> bytes:
    x = helper.make_tensor_value_info("t0", TensorProto.FLOAT, [1])
    y = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, [1])
    return helper.make_model(helper.make_graph(nodes, "g", [x], [y], weights or [])).SerializeToString()


def _one_model() -> bytes:
    return _model([helper.make_node("Relu", ["t0"], ["t1"])])


def _models(count: int) -> bytes:
    return _one_model() * count


def _chain(count: int) -> bytes:
    return _model([helper.make_node("Relu", [f"t{i}"], [f"t{i + 1}"], name=f"op{i}") for i in range(count)])


def _alike(count: int) -> bytes:
    """Operators without names that all take one tensor, and look the same."""
    nodes = [helper.make_node("Relu", ["t0"], [f"y{i}"]) for i in range(count)]
    return _model([*nodes, helper.make_node("Sum", [f"y{i}" for i in range(count)], ["y"])])


def _same_name(count: int) -> bytes:
    return _model([helper.make_node("Relu", [f"t{i}"], [f"t{i + 1}"], name="same") for i in range(count)])


def _layers(count: int) -> bytes:
    """Modules that look the same, each of two operators with a weight."""
    nodes, weights = [], []
    for i in range(count):
        weights.append(helper.make_tensor(f"layer.{i}.linear.weight", TensorProto.FLOAT, [1], [float(i)]))
        names = [f"t{i}", f"layer.{i}.linear.weight"]
        nodes.append(helper.make_node("Mul", names, [f"m{i}"], name=f"/layer.{i}/linear/Mul"))
        nodes.append(helper.make_node("Relu", [f"m{i}"], [f"t{i + 1}"], name=f"/layer.{i}/act/Relu"))
    return _model(nodes, weights)


def _wide_layer(count: int) -> bytes:
    """A few modules of many operators each, of several tensors from outside."""
    nodes = []
    for i in range(count):
        taken = [f"t{i}", f"t{max(0, i - _MODULES)}"]
        nodes.append(helper.make_node("Add", taken, [f"t{i + 1}"], name=f"/layer.{i % _MODULES}/Add_{i}"))
    return _model(nodes)


def _deep(count: int) -> bytes:
    """Modules in modules, 60 deep at most."""
    paths = ("/".join(f"m{level}" for level in range(i % 60 + 1)) for i in range(count))
    return _model(
        [helper.make_node("Relu", [f"t{i}"], [f"t{i + 1}"], name=f"/{path}/Relu_{i}") for i, path in enumerate(paths)]
    )


def _bodies(count: int) -> bytes:
    body = helper.make_graph(
        [helper.make_node("Neg", ["t0"], ["b"])], "b", [], [helper.make_empty_tensor_value_info("b")]
    )
    nodes = [helper.make_node("If", ["t0"], [f"y{i}"], then_branch=body, else_branch=body) for i in range(count)]
    return _model(nodes)


def _calls(count: int) -> bytes:
    """Functions, each called twice."""
    model = onnx.ModelProto.FromString(
        _model([helper.make_node(f"F{i // 2}", [f"t{i}"], [f"t{i + 1}"], domain="own") for i in range(2 * count)])
    )
    opsets = [helper.make_opsetid("", 17)]
    model.functions.extend(
        helper.make_function("own", f"F{i}", ["a"], ["b"], [helper.make_node("Neg", ["a"], ["b"])], opsets)
        for i in range(count)
    )
    model.opset_import.append(helper.make_opsetid("own", 1))
    return model.SerializeToString()


INPUTS: Mapping[str, tuple[int, Callable[[int], bytes]]] = {
    "operators in a chain": (400, _chain),
    "operators that look the same": (400, _alike),
    "operators of one name": (400, _same_name),
    "modules that look the same": (200, _layers),
    "modules in modules": (300, _deep),
    "bodies": (150, _bodies),
    "calls of functions": (150, _calls),
}

RUNS: Mapping[str, Callable[[Path, Path], object]] = {
    "inspect": _inspect,
    "textconv": _textconv,
    "tables": _tables,
    "view": _view,
    "extract": _extract,
    "diff, renamed": functools.partial(_diff, _rename),
    "diff, turned": functools.partial(_diff, _turn),
    "diff, other types": functools.partial(_diff, _replace_types),
    "diff, halved": functools.partial(_diff, _halve),
}

COMMAND_SHAPES: Mapping[str, tuple[int, Callable[[int], bytes], Run]] = {
    **{
        f"{command}: {name}": (count, make, _swallowing(run))
        for command, run in RUNS.items()
        for name, (count, make) in INPUTS.items()
    },
    "replace: modules that look the same": (200, _layers, _swallowing(_replace)),
    "replace: wide modules": (400, _wide_layer, _swallowing(_replace)),
    "functions and inline: modules that look the same": (200, _layers, _swallowing(_functions)),
    "functions and inline: wide modules": (400, _wide_layer, _swallowing(_functions)),
    "functions and inline: modules in modules": (300, _deep, _swallowing(_functions)),
    "inline: calls of functions": (
        150,
        _calls,
        _swallowing(lambda model, folder: graphml_onnx.inline(model, folder / "flat.onnx", overwrite=True)),
    ),
    "batch, and with --resume: models": (20, _models, _batch),
}
"""By name: a count, what makes an input for it, and what reads it."""
