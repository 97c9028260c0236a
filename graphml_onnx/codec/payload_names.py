"""Names and types of the tensors of a sidecar: the names are those that people know from the model.

Source: docs/format.md, section "Sidecar".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

import onnx

from graphml_onnx.codec.payloads import marked_fields
from graphml_onnx.codec.scalars import string_of
from graphml_onnx.parameters.safetensors import METADATA, TensorSpec, content_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from graphml_onnx.onnxfile.skeleton import Payload

RESERVED = "__g2o__/"
"""Prefix of names for tensors that have no name in the model, or one that cannot be used."""

_MAX_NAME = 1024  # characters: the header contains each of them
_CONSTANT = b"Constant"

# The format's names of ONNX's types. Other types, of less than a byte or of 16 bytes, are stored as bytes.
_DTYPES = {
    "FLOAT": "F32", "DOUBLE": "F64", "FLOAT16": "F16", "BFLOAT16": "BF16", "BOOL": "BOOL", "COMPLEX64": "C64",
    **{f"{sign}INT{bits}": f"{letter}{bits}" for sign, letter in (("", "I"), ("U", "U")) for bits in (8, 16, 32, 64)},
    "FLOAT8E4M3FN": "F8_E4M3", "FLOAT8E5M2": "F8_E5M2", "FLOAT8E4M3FNUZ": "F8_E4M3FNUZ",
    "FLOAT8E5M2FNUZ": "F8_E5M2FNUZ", "FLOAT8E8M0": "F8_E8M0",
}  # fmt: skip
_AS_RAW = {"float_data": "FLOAT", "double_data": "DOUBLE"}  # packed, they are the bytes of raw_data


class NamedPayload(NamedTuple):
    """A payload as a tensor of a sidecar.

    Attributes:
        spec: name, dtype and shape in the sidecar.
        onnx_type: data type and dimensions in the model, if the sidecar has bytes instead: ``INT4[3,5]``.
    """

    spec: TensorSpec
    onnx_type: str = ""


class FoundPayload(NamedTuple):
    """A payload and its place in the model.

    Attributes:
        name: its name in a sidecar.
        tensor: the tensor that has the field; None if no tensor has it, or it is not used.
        field: the field.
    """

    name: str
    tensor: onnx.TensorProto | None
    field: str


def name_payloads(model: onnx.ModelProto, nonce: bytes, payloads: Sequence[Payload]) -> list[NamedPayload]:
    """Gives each payload of a model its name and type; see `find_payloads`."""
    found = find_payloads(model, nonce, payloads)
    return [_described(found[payload.offset], payload.length) for payload in payloads]


def name_files(files: Mapping[str, int]) -> list[NamedPayload]:
    """Names the data files of a model, given the size of each in bytes by its location."""
    return [_as_bytes(file_name(location), size) for location, size in files.items()]


def file_name(location: str) -> str:
    """The name of a data file in a sidecar."""
    return f"{RESERVED}file/{location}"


def find_payloads(model: onnx.ModelProto, nonce: bytes, payloads: Sequence[Payload]) -> dict[int, FoundPayload]:
    """Finds the payloads of a model in its tensors, and names them.

    Args:
        model: the exact message of the skeleton.
        nonce: first half of its markers.
        payloads: its payloads, whose offset is their number.

    Returns:
        Each payload by its number; no two have the same name.
    """
    if not payloads:
        return {}
    numbers = {payload.offset for payload in payloads}
    found: dict[int, FoundPayload] = {}
    used: set[str] = set()
    for wanted, tensor in tensors_by_name(model):
        for count, (field, number) in enumerate(marked_fields(tensor, nonce)):
            if number in found or number not in numbers:
                continue
            name = f"{wanted}/{field}" if count else wanted
            if not _is_usable(name) or name in used:
                name = f"{RESERVED}payload/{len(found)}"
            used.add(name)
            found[number] = FoundPayload(name, tensor, field)
            if len(found) == len(numbers):
                return found
    for payload in payloads:
        if payload.offset not in found:
            found[payload.offset] = FoundPayload(f"{RESERVED}payload/{len(found)}", None, "")
    return found


def _is_usable(name: str) -> bool:
    if not name or len(name) > _MAX_NAME or name == METADATA or name.startswith(RESERVED):
        return False
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)  # bytes, not UTF-8


def dtype_of(found: FoundPayload) -> str | None:
    """The safetensors type of a payload, by the type of its tensor; None if safetensors has none."""
    if found.tensor is None:
        return None
    name = _type_name(found.tensor)
    return _DTYPES.get(name) if found.field == "raw_data" or _AS_RAW.get(found.field) == name else None


def _type_name(tensor: onnx.TensorProto) -> str:
    known = tensor.data_type in onnx.TensorProto.DataType.values()
    return onnx.TensorProto.DataType.Name(tensor.data_type) if known else str(tensor.data_type)


def _described(found: FoundPayload, length: int) -> NamedPayload:
    tensor, dtype = found.tensor, dtype_of(found)
    if tensor is None:
        return _as_bytes(found.name, length)
    dims = tuple(tensor.dims)
    if dtype is not None and min(dims, default=0) >= 0 and content_size(dtype, dims) == length:
        return NamedPayload(TensorSpec(found.name, dtype, dims, length))
    return _as_bytes(found.name, length)._replace(onnx_type=f"{_type_name(tensor)}[{','.join(map(str, dims))}]")


def _as_bytes(name: str, length: int) -> NamedPayload:
    return NamedPayload(TensorSpec(name, "U8", (length,), length))


_Named: TypeAlias = "tuple[str, onnx.TensorProto]"


def tensors_by_name(model: onnx.ModelProto) -> Iterator[_Named]:
    """The tensors of a model, except those of ``training_info``, with the names that they would have in a sidecar.

    The best known tensors come first and keep their names; a name may occur more than once.
    """
    yield from _of_graph(model.graph, "")
    for function in model.functions:
        parts = (string_of(part) for part in (function.domain, function.name, function.overload))
        yield from _of_operators(function.node, "::".join(filter(None, parts)))


def _of_graph(graph: onnx.GraphProto, prefix: str) -> Iterator[_Named]:
    for tensor in graph.initializer:
        yield _within(prefix, string_of(tensor.name)), tensor
    for sparse in graph.sparse_initializer:
        yield from _of_sparse(sparse, _within(prefix, string_of(sparse.values.name)))
    yield from _of_operators(graph.node, prefix)


def _of_operators(operators: Sequence[onnx.NodeProto], prefix: str) -> Iterator[_Named]:
    for operator in operators:
        is_constant = cast("bytes", operator.op_type) == _CONSTANT
        for attribute in operator.attribute:
            has_tensor, has_sparse = attribute.HasField("t"), attribute.HasField("sparse_tensor")
            has_graph = attribute.HasField("g")
            has_lists = len(attribute.tensors) or len(attribute.sparse_tensors) or len(attribute.graphs)
            if not (has_tensor or has_sparse or has_graph or has_lists):
                continue
            path = _within(prefix, _label(operator))
            inner = f"{path}/{string_of(attribute.name)}"
            if has_tensor:
                yield (path if is_constant else inner), attribute.t
            if has_sparse:
                yield from _of_sparse(attribute.sparse_tensor, path if is_constant else inner)
            if has_graph:
                yield from _of_graph(attribute.g, inner)
            for index, tensor in enumerate(attribute.tensors):
                yield f"{inner}[{index}]", tensor
            for index, sparse in enumerate(attribute.sparse_tensors):
                yield from _of_sparse(sparse, f"{inner}[{index}]")
            for index, graph in enumerate(attribute.graphs):
                yield from _of_graph(graph, f"{inner}[{index}]")


def _within(path: str, name: str) -> str:
    """A name within a body or function; many names start with a slash already."""
    return f"{path}/{name.removeprefix('/')}" if path else name


def _label(operator: onnx.NodeProto) -> str:
    """The operator's name, or that of its first output."""
    outputs = cast("Sequence[bytes]", operator.output)
    return string_of(operator.name or next(filter(None, outputs), operator.op_type))


def _of_sparse(sparse: onnx.SparseTensorProto, name: str) -> Iterator[_Named]:
    yield name, sparse.values
    yield f"{name}/indices", sparse.indices
