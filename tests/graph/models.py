"""Models that the tests of this folder share."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def with_body() -> onnx.ModelProto:
    """An If whose branches capture a tensor and a weight, a function, a sparse initializer and a Constant."""
    weight = numpy_helper.from_array(np.arange(1024, dtype=np.float32).reshape(32, 32), "enc.0.weight")
    typed = helper.make_tensor("typed", TensorProto.INT64, [600], list(range(600)))
    sparse = helper.make_sparse_tensor(
        helper.make_tensor("sparse", TensorProto.FLOAT, [2], [1.0, 2.0]),
        helper.make_tensor("i", TensorProto.INT64, [2], [1, 5]),
        [2, 3],
    )
    value = helper.make_tensor("v", TensorProto.FLOAT, [300], np.linspace(0, 1, 300).tolist())

    def branch(op_type: str) -> onnx.GraphProto:
        inner = helper.make_node("MatMul", ["h", "enc.0.weight"], ["m"], name=f"/enc/0/{op_type}/MatMul")
        last = helper.make_node(op_type, ["m"], ["r"], name=f"/enc/0/{op_type}/act")
        result = helper.make_tensor_value_info("r", TensorProto.FLOAT, None)
        return helper.make_graph([inner, last], op_type, [], [result])

    nodes = [
        helper.make_node("Constant", [], ["c"], value=value, name="/enc/Constant"),
        helper.make_node("LeakyRelu", ["x"], ["h"], name="/enc/0/act", alpha=0.1),
        helper.make_node("If", ["flag"], ["y"], "/enc/0/If", then_branch=branch("Relu"), else_branch=branch("Neg")),
        helper.make_node("Twice", ["y"], ["z"], domain="own", name="/head/Twice"),
        helper.make_node("Transpose", ["z"], ["t"], perm=[1, 0]),
    ]
    function = helper.make_function(
        "own", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])], [helper.make_opsetid("", 17)]
    )
    graph = helper.make_graph(
        nodes,
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 32]),
            helper.make_tensor_value_info("flag", TensorProto.BOOL, []),
        ],
        [helper.make_tensor_value_info("t", TensorProto.FLOAT, None)],
        [weight, typed],
        sparse_initializer=[sparse],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=[function])
