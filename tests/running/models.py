"""Models that run: a chain of modules, each with a weight."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from pathlib import Path

LAYERS = 6


def chain(folder: Path, name: str = "model.onnx", disturbed: int | None = None) -> Path:
    """Layers of MatMul, Add and Tanh; the weight of one of them may be another."""
    random = np.random.default_rng(0)
    nodes, weights = [], []
    value = "x"
    for number in range(LAYERS):
        scope = f"/encoder/layer.{number}"
        matrix = random.standard_normal((8, 8)).astype(np.float32) / 2
        if number == disturbed:
            matrix = matrix[::-1].copy()
        weights.append(numpy_helper.from_array(matrix, f"encoder.layer.{number}.weight"))
        weights.append(numpy_helper.from_array(random.standard_normal(8).astype(np.float32), f"b{number}"))
        product, total, result = (f"{scope}/{op}_output_0" for op in ("MatMul", "Add", "Tanh"))
        nodes += [
            helper.make_node("MatMul", [value, weights[-2].name], [product], f"{scope}/MatMul"),
            helper.make_node("Add", [product, f"b{number}"], [total], f"{scope}/Add"),
            helper.make_node("Tanh", [total], [result], f"{scope}/Tanh"),
        ]
        value = result
    nodes.append(helper.make_node("Identity", [value], ["y"], "/Identity"))
    sides = [[helper.make_tensor_value_info(side, TensorProto.FLOAT, ["batch", 8])] for side in "xy"]
    graph = helper.make_graph(nodes, "chain", *sides, weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / name)
    return folder / name
