"""`--module` of every command that has it: a module that does not exist is answered by the nearest names."""

from __future__ import annotations

import shutil
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from tests.common.command import in_process

BERT = Path(__file__).parents[2] / "fixtures" / "htp" / "winml-bert-mini-dynamo" / "model.onnx"
COMMANDS = {
    "inspect": ("inspect", "m.onnx"),
    "diff": ("diff", "m.onnx", "m.onnx"),
    "extract": ("extract", "m.onnx", "-o", "part.onnx"),
    "replace": ("replace", "m.onnx", "m.onnx", "-o", "new.onnx"),
    "view": ("view", "m.onnx", "-o", "page.html"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("module", "nearest"),
    [
        ("encoder.layer.7", "the nearest are 'encoder.layer.1', 'encoder.layer.0', "),
        ("nope", "the nearest are '"),  # like none of them: the reader sees what names look like
        ("???", "the nearest are '"),
    ],
)
def test_a_module_that_does_not_exist(tmp_path: Path, command: str, module: str, nearest: str) -> None:
    shutil.copy(BERT, tmp_path / "m.onnx")
    ran = in_process(tmp_path, *COMMANDS[command], "--module", module)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"g2o: m.onnx: there is no module '{module}' ({nearest}")
    assert ran.err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["m.onnx"]


def test_a_model_without_names(tmp_path: Path) -> None:
    sides = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [2])] for name in "xy"]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", *sides)
    graph.ClearField("name")
    onnx.save(helper.make_model(graph), tmp_path / "m.onnx")
    ran = in_process(tmp_path, "inspect", "m.onnx", "--module", "encoder")
    assert (ran.code, ran.err) == (2, "g2o: m.onnx: there is no module 'encoder' (there are no modules with names)\n")


@pytest.mark.parametrize("order", [("one.onnx", "two.onnx"), ("two.onnx", "one.onnx")])
def test_a_diff_takes_a_module_of_either_model(tmp_path: Path, order: tuple[str, str]) -> None:
    def model(*modules: str) -> onnx.ModelProto:
        names = [f"t{number}" for number in range(len(modules))] + ["y"]
        nodes = [
            helper.make_node("Relu", [names[i]], [names[i + 1]], f"/enc/{module}/act")
            for i, module in enumerate(modules)
        ]
        sides = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [2])] for name in ("t0", "y")]
        return helper.make_model(helper.make_graph(nodes, "g", *sides))

    onnx.save(model("first", "second"), tmp_path / "one.onnx")
    onnx.save(model("first", "second", "third"), tmp_path / "two.onnx")
    assert in_process(tmp_path, "diff", *order, "--module", "enc.third").code == 1
    assert in_process(tmp_path, "diff", *order, "--module", "enc.first").code == 0
    assert "'enc.third'" in in_process(tmp_path, "diff", *order, "--module", "enc.thirty").err
