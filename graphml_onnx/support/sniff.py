"""Recognises files of other kinds by their first bytes, for error messages."""

from __future__ import annotations

import re
from typing import Final

HEAD = 512
"""Number of bytes that are enough to recognise every kind."""

UTF_16 = "text in UTF-16"
HTML = "an HTML page, such as a server's error or login page"

_MAGIC = (
    (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"PK\x03\x04", "a ZIP archive (PyTorch's .pt and .pt2, Keras's .keras and NumPy's .npz are ZIP archives)"),
    (b"GGUF", "a GGUF file: weights and settings for llama.cpp, without a graph"),
    (b"\x93NUMPY", "a NumPy array"),
    (b"ptrt", "a TensorRT engine: give the .onnx file that it was built from"),
    (b"ftrt", "a TensorRT engine: give the .onnx file that it was built from"),
    (b"7767517\n", "an ncnn or pnnx model (.param): pnnx writes .pnnx.onnx beside it"),
    (b"Gk0\x01", "weights of an ncnn model (.bin), without a graph"),
    (b"GIF8", "a GIF image"),
    (b"BZh", "bzip2 data: unpack it first"),
    (b"\xfd7zXZ\x00", "xz data: unpack it first"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it first"),
    (b"node {", "a TensorFlow graph in a text form: tf2onnx converts it"),
    (b"\x1f\x8b", "gzip data: unpack it first"),
    (b"\x28\xb5\x2f\xfd", "Zstandard data: unpack it first"),
    (b"\x89HDF", "an HDF5 file (Keras)"),
    (b"%PDF", "a PDF document"),
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"version https://git-lfs", "a Git LFS pointer: run git lfs pull"),
    (b"\xff\xfe", UTF_16),
    (b"\xfe\xff", UTF_16),
    (b"<?xml", "XML"),
    (b"<graphml", "GraphML"),
)


_HTML = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?:!doctype html|html|head|body)\b", re.IGNORECASE)
_ONNX_TEXT = re.compile(rb"""(?:<\s*|\{\s*")?ir_?[vV]ersion"?\s*:""")


_CHECKPOINT: Final = "a TensorFlow checkpoint: tf2onnx converts it, with the .meta beside it"
_VARINT: Final = rb"[\x80-\xff]{0,4}[\x00-\x7f]"
_PATTERNS: Final = (
    (re.compile(rb".{7}\x00\{\s*\"", re.DOTALL), "a safetensors file: weights without a graph"),
    (
        re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?<net\s[^>]*name="),
        "an OpenVINO model: give the .onnx file that it was made from",
    ),
    (re.compile(rb".{4}ET\d\d", re.DOTALL), "an ExecuTorch program (.pte): export the PyTorch model to ONNX"),
    (
        re.compile(rb"\x08\x01\x12" + _VARINT + rb"\n" + _VARINT + rb"\x12", re.DOTALL),
        "a TensorFlow SavedModel: tf2onnx converts its folder",
    ),
    (re.compile(rb"\x08.\x12" + _VARINT + rb"\n" + _VARINT + rb"\n", re.DOTALL), "a Core ML model"),
    (re.compile(rb"\x00\x00.\x08.\x1a\x02\x08\x01", re.DOTALL), f"the index of {_CHECKPOINT}"),
    (re.compile(rb".{257}ustar", re.DOTALL), "a tar archive: unpack it first"),
    (
        re.compile(rb"(?:\x08[\x80-\xff]{0,9}[\x00-\x7f]){0,8}\x10[\x01-\x1f][\x22\x2a\x32\x3a\x42\x4a\x52\x5a]"),
        "one tensor of ONNX (TensorProto), as tests have them for inputs",
    ),
    (
        re.compile(rb"\n" + _VARINT + rb"\n" + _VARINT + rb"[\w./\-]+\x12" + _VARINT + rb"[A-Z]\w+"),
        "a frozen TensorFlow graph (.pb): tf2onnx converts it",
    ),
)


_NAMES: Final = (
    (re.compile(r".*\.data-\d{5}-of-\d{5}"), f"the weights of {_CHECKPOINT}"),
    (re.compile(r".*[._]onnx[._]data(?:_\d+)?"), "the weights of an ONNX model: give the .onnx file beside it"),
    (re.compile(r".*\.ncnn\.bin"), "weights of an ncnn model (.bin), without a graph"),
)


def named_like(name: str) -> str | None:
    """The kind of file that its name tells, of kinds that have no mark in their first bytes; or None."""
    return next((kind for pattern, kind in _NAMES if pattern.fullmatch(name)), None)


def looks_like(head: bytes) -> str | None:
    """The kind of file that the first bytes show, or None."""
    for pattern, name in _PATTERNS:
        if pattern.match(head):
            return name
    for magic, name in _MAGIC:
        if head.startswith((magic, b"\xef\xbb\xbf" + magic)):
            return name
    if head[4:8] == b"TFL3":
        return "a TensorFlow Lite model: tf2onnx converts it"
    if head[4:8] == b"ORTM":
        return "an ONNX Runtime model (.ort): give the .onnx file that it was made from"
    if _HTML.match(head):
        return HTML
    text = head.lstrip()
    if _ONNX_TEXT.match(text):
        return (
            "ONNX in a text form: read it with onnx.load, which knows .onnxtxt, .onnxjson and .textproto, and save it"
        )
    if text[:1] in (b"{", b"["):
        return "JSON"
    try:
        decoded = head.decode("utf-8", "strict") if len(head) < 64 else head[:-4].decode("utf-8", "strict")
    except UnicodeDecodeError:
        return None
    return "text" if decoded and all(character.isprintable() or character.isspace() for character in decoded) else None


def looks_like_onnx(head: bytes) -> bool:
    """Whether the first bytes of a file are those of most ONNX models: ``ir_version``, and another field after it."""
    return len(head) > 2 and head[0] == _IR_VERSION and head[1] < 0x80 and head[2] in _FIELDS_OF_MODELS


def unlike_graphml(head: bytes) -> tuple[str, str] | None:
    """Why a file is not GraphML, by its first bytes, and what to do about it; None if it may be GraphML."""
    if not head:
        return "the file is empty", "encode the model again"
    if looks_like_onnx(head):
        return "is an ONNX model, not GraphML", "encode it first, and give the result of g2o encode"
    look = looks_like(head)
    if look == UTF_16:
        return f"is not GraphML in UTF-8; it looks like {look}", "save it as UTF-8"
    if look not in (None, "XML", "GraphML", "text"):
        return f"is not GraphML in UTF-8; it looks like {look}", "give a file that g2o encode wrote"
    return None


_IR_VERSION = 0x08
_FIELDS_OF_MODELS = b"\x12\x1a\x22\x28\x32\x3a\x42"  # producer_name to opset_import
