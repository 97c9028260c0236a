"""Which layer does ``g2o diff --numeric`` name if one was disturbed? ``python -m benchmarks.disturbed MODEL``.

A model is converted to half precision and to 8 bits (dynamic, static), and each layer of the float model and of these
is disturbed, one at a time: the weights of the layer are written backwards. Right is a name if it is that of the layer.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import numpy_helper

from graphml_onnx import numeric_diff

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy.typing as npt

_LAYERS = {"MatMul", "Gemm", "Conv"}
_SHARES = ("_quantized", "")  # ends of the names of weights after a conversion


def converted(model: Path, folder: Path, inputs: Mapping[str, npt.NDArray[np.generic]]) -> dict[str, Path]:
    """The model itself, and what onnxruntime's tools make of it."""
    from onnxruntime import quantization
    from onnxruntime.transformers.float16 import convert_float_to_float16

    class Reader(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._left = iter([inputs])

        def get_next(self) -> Mapping[str, npt.NDArray[np.generic]] | None:
            return next(self._left, None)

    found = {name: folder / f"{name}.onnx" for name in ("float16", "dynamic int8", "static int8", "static QOperator")}
    onnx.save(convert_float_to_float16(onnx.load(model)), found["float16"])
    quantization.quantize_dynamic(model, found["dynamic int8"])
    for name, form in (("static int8", "QDQ"), ("static QOperator", "QOperator")):
        quantization.quantize_static(model, found[name], Reader(), quantization.QuantFormat[form])
    return {"float": model} | found


def layers(model: onnx.ModelProto) -> Iterator[tuple[str, list[str]]]:
    """The weights of the model's layers, each with the names of the operators that take it."""
    sizes = {tensor.name: len(tensor.dims) for tensor in model.graph.initializer}
    takers: dict[str, list[str]] = {}
    for node in model.graph.node:
        if node.op_type in _LAYERS and sizes.get(node.input[1], 0) > 1:
            takers.setdefault(node.input[1], []).append(node.name or f"{node.op_type} -> {node.output[0]}")
    yield from takers.items()


def disturb(model: onnx.ModelProto, weight: str) -> bool:
    """Writes a weight backwards; whether it has it."""
    tensors = {tensor.name: tensor for tensor in model.graph.initializer}
    tensor = next((tensors[weight + end] for end in _SHARES if weight + end in tensors), None)
    if tensor is None:
        return False
    values = numpy_helper.to_array(tensor)
    tensor.CopyFrom(numpy_helper.from_array(values.reshape(-1)[::-1].reshape(values.shape), tensor.name))
    return True


def judge(old: Path, new: Path, inputs: Mapping[str, npt.NDArray[np.generic]], folder: Path) -> list[str]:
    """One line for each layer that is not named, and one with the count."""
    named, total = 0, 0
    told: list[str] = []
    path = folder / "disturbed.onnx"
    for weight, takers in layers(onnx.load(old)):
        model = onnx.load(new)
        if not disturb(model, weight):
            told.append(f"  {weight}: has no weight of that name")
            continue
        total += 1
        onnx.save(model, path)
        found = numeric_diff(old, path, input_data=inputs)
        first = found.first
        rows = {row.operator: row for row in found.tensors}
        if first is not None and first.operator in takers:
            named += 1
        else:
            own = [f"{rows[name].figures.sqnr:.1f} dB, own {rows[name].own:.1f}" for name in takers if name in rows]
            other = "none" if first is None else f"{first.operator} {first.figures.sqnr:.1f} dB, own {first.own:.1f}"
            told.append(f"  {weight} ({', '.join(own) or 'not compared'}): {other}")
    return [f"{named} of {total}", *told]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--inputs", type=Path, required=True, help=".npz with its inputs")
    parser.add_argument("--keep", type=Path, help="a folder for what is made")
    options = parser.parse_args()
    with np.load(options.inputs) as arrays:
        inputs = dict(arrays)
    with tempfile.TemporaryDirectory() as place:
        folder = options.keep or Path(place)
        folder.mkdir(exist_ok=True)
        for name, path in converted(options.model, folder, inputs).items():
            print(name, *judge(options.model, path, inputs, folder), sep="\n", flush=True)


if __name__ == "__main__":
    main()
