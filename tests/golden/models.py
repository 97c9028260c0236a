"""The models of the golden files; `python -m tests.golden.models` writes them beside this file.

They are built field by field, so that no release of ONNX builds them otherwise.
"""

from __future__ import annotations

import json
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
from onnx import AttributeProto, TensorProto

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphml_onnx.results import Layout, ParameterStrategy

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Golden:
    """A golden file: a model, how it is encoded, and the names of the files.

    ``name`` names the model ``name.onnx``; with the layout it names the GraphML ``name.layout.graphml``.
    """

    name: str
    build: Callable[[], onnx.ModelProto]
    layout: Layout
    parameters: ParameterStrategy = "sidecar"
    inline_limit: int = 1024
    show_parameters: bool = False
    metadata: dict[str, object] | None = None

    @property
    def model(self) -> Path:
        return FOLDER / f"{self.name}.onnx"

    @property
    def metadata_file(self) -> Path | None:
        return None if self.metadata is None else FOLDER / f"{self.name}_htp_metadata.json"

    @property
    def graphml(self) -> Path:
        return FOLDER / f"{self.name}.{self.layout}.graphml"


def _model(name: str) -> onnx.ModelProto:
    model = onnx.ModelProto(ir_version=10, producer_name="golden")
    model.opset_import.add(domain="", version=21)
    model.graph.name = name
    return model


def _value(values: object, name: str, element: int, dims: list[int | str]) -> None:
    tensor = values.add(name=name).type.tensor_type
    tensor.elem_type = element
    tensor.shape.SetInParent()
    for dim in dims:
        tensor.shape.dim.add(**({"dim_value": dim} if isinstance(dim, int) else {"dim_param": dim}))


def _floats(tensors: object, name: str, dims: list[int], values: list[float]) -> None:
    raw = struct.pack(f"<{len(values)}f", *values)
    tensors.add(name=name, data_type=TensorProto.FLOAT, dims=dims, raw_data=raw)


def conv_relu() -> onnx.ModelProto:
    """A convolution and its activation, in two modules; the kernel is large enough to be a payload."""
    model = _model("conv_relu")
    graph = model.graph
    _value(graph.input, "image", TensorProto.FLOAT, ["batch", 1, 4, 4])
    conv = graph.node.add(op_type="Conv", name="/features/conv/Conv", input=["image", "kernel", "bias"], output=["c"])
    conv.attribute.add(name="pads", type=AttributeProto.INTS, ints=[1, 1, 1, 1])
    conv.metadata_props.add(key="source", value="line 7")
    graph.node.add(op_type="Relu", name="/features/act/Relu", input=["c"], output=["r"])
    graph.node.add(op_type="Flatten", name="/Flatten", input=["r"], output=["features"])
    _value(graph.output, "features", TensorProto.FLOAT, ["batch", 32])
    _value(graph.value_info, "c", TensorProto.FLOAT, ["batch", 2, 4, 4])
    _floats(graph.initializer, "kernel", [2, 1, 3, 3], [index / 8 for index in range(18)])
    _floats(graph.initializer, "bias", [2], [0.1, -0.5])
    return model


CONV_RELU_METADATA: dict[str, object] = {
    "model": {"name_or_path": "conv_relu", "class_name": "Net"},
    "modules": {
        "class_name": "Net",
        "traced_tag": "/Net",
        "scope": "",
        "execution_order": 0,
        "children": {
            "Features": {
                "class_name": "Features",
                "traced_tag": "/Net/Features",
                "scope": "features",
                "execution_order": 1,
                "children": {
                    "Conv2d": {
                        "class_name": "Conv2d",
                        "traced_tag": "/Net/Features/Conv2d",
                        "scope": "features.conv",
                        "execution_order": 2,
                    },
                    "ReLU": {
                        "class_name": "ReLU",
                        "traced_tag": "/Net/Features/ReLU",
                        "scope": "features.act",
                        "execution_order": 3,
                    },
                },
            },
        },
    },
    "nodes": {
        "/features/conv/Conv": "/Net/Features/Conv2d",
        "/features/act/Relu": "/Net/Features/ReLU",
        "/Flatten": "/Net",
    },
}


def choice() -> onnx.ModelProto:
    """An If with two branches, which see a tensor of the graph around them."""
    model = _model("choice")
    graph = model.graph
    _value(graph.input, "c", TensorProto.BOOL, [])
    _value(graph.input, "x", TensorProto.FLOAT, [2])
    node = graph.node.add(op_type="If", name="choose", input=["c"], output=["y"])
    for name, op_type in (("then_branch", "Neg"), ("else_branch", "Add")):
        branch = node.attribute.add(name=name, type=AttributeProto.GRAPH).g
        branch.name = name
        branch.node.add(op_type=op_type, input=["x"] if op_type == "Neg" else ["x", "one"], output=["result"])
        if op_type == "Add":
            _floats(branch.initializer, "one", [1], [1.0])
        _value(branch.output, "result", TensorProto.FLOAT, [2])
    _value(graph.output, "y", TensorProto.FLOAT, [2])
    return model


def function() -> onnx.ModelProto:
    """A model-local function with an attribute, called once."""
    model = _model("function")
    model.opset_import.add(domain="local", version=1)
    graph = model.graph
    _value(graph.input, "x", TensorProto.FLOAT, ["n"])
    call = graph.node.add(op_type="ScaledElu", domain="local", name="call", input=["x"], output=["y"])
    call.attribute.add(name="alpha", type=AttributeProto.FLOAT, f=0.1)
    _value(graph.output, "y", TensorProto.FLOAT, ["n"])
    body = model.functions.add(name="ScaledElu", domain="local", input=["a"], output=["b"], attribute=["alpha"])
    body.opset_import.add(domain="", version=21)
    elu = body.node.add(op_type="Elu", input=["a"], output=["e"])
    elu.attribute.add(name="alpha", ref_attr_name="alpha", type=AttributeProto.FLOAT)
    body.node.add(op_type="Mul", input=["e", "e"], output=["b"])
    return model


def awkward() -> onnx.ModelProto:
    """Names and numbers that neither XML nor JSON can say as they are."""
    model = _model(" spaces around ")
    model.doc_string = "first line\nsecond line\ttab"
    model.producer_version = ""
    graph = model.graph
    _value(graph.input, '"quoted" <x> & y', TensorProto.FLOAT, ["N\u2028M"])
    node = graph.node.add(op_type="Op]]>", name="null\0byte", domain="\r\n", input=['"quoted" <x> & y', ""])
    node.output.extend(["\ufffe", "\U0001f600"])
    node.attribute.add(name="nan", type=AttributeProto.FLOAT, f=float("nan"))
    node.attribute.add(name="zero", type=AttributeProto.FLOAT, f=-0.0)
    node.attribute.add(name="bytes", type=AttributeProto.STRING, s=b"\xff\x00")
    node.attribute.add(name="look-alike", type=AttributeProto.STRING, s=b'{"$graph":0}')
    graph.node.add(op_type="NoOp", input=["\ufffe"], output=[""])
    graph.initializer.add(name="", data_type=TensorProto.INT4, dims=[3], raw_data=b"\xf1\x08")
    graph.output.add(name="\U0001f600")
    return model


GOLDEN = (
    Golden("conv_relu", conv_relu, "nested", "embedded", inline_limit=32, metadata=CONV_RELU_METADATA),
    Golden("conv_relu", conv_relu, "flat", "sidecar", 32, show_parameters=True, metadata=CONV_RELU_METADATA),
    *(Golden(build.__name__, build, layout) for build in (choice, function, awkward) for layout in ("nested", "flat")),
)


def write_models() -> None:
    """Writes the inputs of the golden files."""
    for golden in GOLDEN:
        golden.model.write_bytes(golden.build().SerializeToString())
        if golden.metadata_file is not None:
            text = json.dumps(golden.metadata, indent=2) + "\n"
            golden.metadata_file.write_bytes(text.encode())


if __name__ == "__main__":
    write_models()
