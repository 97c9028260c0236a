"""What foreign files look like, by the first bytes that their own programs wrote."""

from __future__ import annotations

import pytest

from graphml_onnx.support.sniff import looks_like, unlike_graphml

HEADS = {
    "GGUF": b"GGUF\x03\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00",
    "OpenVINO": b'<?xml version="1.0"?>\n<net name="onnx_Frontend_I',
    "Core ML": b"\x08\x01\x12\x1d\n\x0e\n\x01x\x1a\t*\x07\n\x01\x04\x10\xc0\x80\x04R\x0b\n\x01y\x1a\x06*\x04",
    "ncnn": b"7767517\n2 2\nInput                    in0        ",
    "safetensors": b'x\x00\x00\x00\x00\x00\x00\x00{"bias":{"dtype":"F32","shape":[3],"data',
    "NumPy array": b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order': Fals",
    "frozen TensorFlow": b"\n2\n\x01x\x12\x0bPlaceholder*\x0b\n\x05dtype\x12\x020\x01*\x13",
    "TensorFlow graph in a text": b'node {\n  name: "x"\n  op: "Placeholder"\n  attr {\n',
    "SavedModel": b"\x08\x01\x12\xd9\xaa\x01\n\xd6\x0e\x12\xa6\x0e\n^\n\x10AssignVariableOp\x12\x0c\n\x08resource",
    "TensorFlow Lite": b"\x1c\x00\x00\x00TFL3\x14\x00 \x00\x1c\x00\x18\x00\x14\x00\x10\x00",
    "ONNX Runtime": b"\x14\x00\x00\x00ORTM\x0c\x00\x10\x00\x0c\x00\x08\x00\x00\x00",
    "HDF5": b"\x89HDF\r\n\x1a\n\x00\x00\x00\x00\x00\x08\x08\x00",
    "TensorRT": b"ptrt\x00\x00\x00\x00\x01\x00\x00\x00",
    "ExecuTorch": b"\x30\x00\x00\x00ET12\x00\x00\x00\x00",
    "ZIP": b"PK\x03\x04\x00\x00\x08\x08\x00\x00",
    "pickle": b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.",
}


@pytest.mark.parametrize("kind", HEADS)
def test_a_file_of_another_program_is_named(kind: str) -> None:
    look = looks_like(HEADS[kind])
    assert look is not None
    assert kind in look
    assert unlike_graphml(HEADS[kind]) is not None


@pytest.mark.parametrize(
    "head",
    [
        b"\x08\x08\x12\x07pytorch\x1a\x062.14.1:\xa6\x01\n\x0b",
        b"\x08\n:\x05\n\x03add",
        b"\x08\x01\x12\x00:\x05",
        b"\n\x00\x12\x00",
        b"",
    ],
)
def test_a_model_that_is_cut_off_is_none_of_these(head: bytes) -> None:
    assert looks_like(head) in (None, "text")
