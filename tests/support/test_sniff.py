"""What foreign files look like, by the first bytes that their own programs wrote."""

from __future__ import annotations

import pytest

from graphml_onnx.support.sniff import looks_like, named_like, unlike_graphml

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
    "TensorFlow checkpoint": b"\x00\x00\x06\x08\x01\x1a\x02\x08\x01\x00\x1c\x0e_CHECKPOINTABLE_OBJECT_GRAPH",
    "weights of an ncnn": b"Gk0\x01\xc06\xab2\xb2\xb2K/\xeb\xb5p4",
    "TensorProto": b'\x08\x02\x10\x01"\x08\x00\x00\x80?\x00\x00\x00@B\x01t',
    "PNG": b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
    "JPEG": b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01",
    "GIF": b"GIF89a\x01\x00\x01\x00",
    "PDF": b"%PDF-1.5\n%\xbf\xf7\xa2\xfe\n",
    "gzip": b"\x1f\x8b\x08\x08\x9a\x1c)i\x00\x03keras_add.onnx\x00",
    "bzip2": b"BZh91AY&SY'\x0e\xcd\x9b\x00\x00",
    "xz": b"\xfd7zXZ\x00\x00\x04\xe6\xd6\xb4F",
    "tar": b"keras_add.onnx" + bytes(243) + b"ustar  \x00root",
    "LFS": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 12345\n",
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
    ("name", "kind"),
    [
        ("variables.data-00000-of-00001", "TensorFlow checkpoint"),
        ("model.onnx.data", "give the .onnx file"),
        ("model.onnx_data_1", "give the .onnx file"),
        ("yolo.ncnn.bin", "ncnn"),
        ("model.onnx", None),
        ("data.onnx", None),
    ],
)
def test_files_without_a_mark_are_known_by_their_names(name: str, kind: str | None) -> None:
    found = named_like(name)
    assert (found is None) == (kind is None)
    assert kind is None or kind in (found or "")


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
