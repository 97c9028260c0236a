"""Files that a model needs beside it, and that are no external data, are named."""

from __future__ import annotations

from typing import TYPE_CHECKING

import onnx
import pytest
from onnx import TensorProto, helper

from graphml_onnx import encode

if TYPE_CHECKING:
    from pathlib import Path


def saved(path: Path, *contexts: dict[str, object]) -> Path:
    """A model as onnxruntime writes it with compiled contexts, one of them in a branch."""
    nodes = [
        helper.make_node("EPContext", ["x"], [f"y{number}"], f"c{number}", domain="com.microsoft", **context)
        for number, context in enumerate(contexts)
    ]
    output = helper.make_tensor_value_info("y0", TensorProto.FLOAT, [1])
    branch = helper.make_graph(nodes[-1:], "branch", [], [helper.make_empty_tensor_value_info(nodes[-1].output[0])])
    choice = helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=branch)
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [1]),
        helper.make_tensor_value_info("c", TensorProto.BOOL, []),
    ]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    graph = helper.make_graph([*nodes[:-1], choice], "g", inputs, [output])
    onnx.save(helper.make_model(graph, opset_imports=opsets), path)
    return path


def test_the_files_of_compiled_contexts_are_named_once(tmp_path: Path) -> None:
    model = saved(
        tmp_path / "model.onnx",
        {"embed_mode": 0, "ep_cache_context": "model_qnn.bin", "main_context": 1},
        {"embed_mode": 0, "ep_cache_context": "model_qnn.bin"},
        {"embed_mode": 0, "ep_cache_context": "other.bin"},
    )
    (finding,) = encode(model).findings
    assert finding == (
        "the model needs files beside it that are not external data, and that are not copied: "
        '"model_qnn.bin", "other.bin"'
    )


@pytest.mark.parametrize(
    "context", [{}, {"embed_mode": 1, "ep_cache_context": "bytes"}, {"embed_mode": 0}, {"ep_cache_context": "bytes"}]
)
def test_a_context_within_the_model_needs_no_file(tmp_path: Path, context: dict[str, object]) -> None:
    assert encode(saved(tmp_path / "model.onnx", context)).findings == ()
