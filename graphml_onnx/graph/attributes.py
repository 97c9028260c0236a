"""Attributes of operators as Python values."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple, TypeAlias, cast

import onnx

from graphml_onnx.codec.numbers import FLOAT32, float_json
from graphml_onnx.codec.scalars import string_of
from graphml_onnx.graph.weights import Storage, TensorData

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphml_onnx.graph.elements import Body
    from graphml_onnx.graph.types import TensorType, TypeReader


class SparseTensor(NamedTuple):
    """A sparse tensor: its values, where they are, and the shape of the whole."""

    values: TensorData
    indices: TensorData
    shape: tuple[int, ...]


class AttributeReference(NamedTuple):
    """In a function: a reference to an attribute of the operator that calls the function."""

    name: str


AttributeItem: TypeAlias = "int | float | str | bytes | TensorData | SparseTensor | TensorType | Body"
"""A number, text (bytes if it is not UTF-8), a tensor, a type, or a body."""

AttributeValue: TypeAlias = "AttributeItem | AttributeReference | tuple[AttributeItem, ...] | None"
"""The value of an attribute: one item, or several."""

_Type = onnx.AttributeProto
_LISTS = {
    "floats": _Type.FLOATS,
    "ints": _Type.INTS,
    "strings": _Type.STRINGS,
    "tensors": _Type.TENSORS,
    "graphs": _Type.GRAPHS,
    "type_protos": _Type.TYPE_PROTOS,
    "sparse_tensors": _Type.SPARSE_TENSORS,
}
_SINGLES = {
    "f": _Type.FLOAT,
    "i": _Type.INT,
    "s": _Type.STRING,
    "t": _Type.TENSOR,
    "g": _Type.GRAPH,
    "tp": _Type.TYPE_PROTO,
    "sparse_tensor": _Type.SPARSE_TENSOR,
}
_FIELDS = {number: name for name, number in (_SINGLES | _LISTS).items()}


def read_attributes(
    attributes: Iterator[onnx.AttributeProto], bodies: Sequence[Body], storage: Storage, types: TypeReader
) -> dict[str, AttributeValue]:
    """The attributes of an operator by name; of two with one name, the first.

    Args:
        attributes: the exact messages.
        bodies: the graphs in them, in their order.
        storage: where large tensors are.
        types: reads types.
    """
    reader = _Reader(storage, types)
    values: dict[str, AttributeValue] = {}
    taken = 0
    for attribute in attributes:
        # What a damaged file has beside the value, or instead of it, has a body too.
        count = attribute.HasField("g") + len(attribute.graphs) if bodies else 0
        own = bodies[taken : taken + count]
        taken += count
        values.setdefault(string_of(attribute.name), reader.value(attribute, own))
    return values


def _text_or_bytes(value: bytes) -> str | bytes:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def float_of(bits: int) -> float:
    """The float32 with these bits, as the shortest decimal that round-trips: 0.1, not 0.10000000149011612."""
    number: float = struct.unpack("<f", bits.to_bytes(4, "little"))[0]
    is_finite = number - number == 0
    return float(float_json(FLOAT32, bits)) if is_finite else number


class _Reader:
    def __init__(self, storage: Storage, types: TypeReader) -> None:
        self._storage, self._types = storage, types

    def value(self, attribute: onnx.AttributeProto, bodies: Sequence[Body]) -> AttributeValue:
        """The value; ``bodies`` are all graphs of the attribute, the single one first."""
        if attribute.ref_attr_name:
            return AttributeReference(string_of(attribute.ref_attr_name))
        field = _FIELDS.get(attribute.type) or _present(attribute)
        if field is None:
            return None
        if field == "g":
            return bodies[0] if attribute.HasField("g") else None
        if field == "graphs":
            return tuple(bodies[attribute.HasField("g") :])
        if field == "ints":  # labels of a classifier are many
            return tuple(attribute.ints)
        if field in _LISTS:
            return tuple([self._item(field, item) for item in getattr(attribute, field)])
        return self._item(field, getattr(attribute, field))

    def _item(self, field: str, value: object) -> AttributeItem:
        match field:
            case "f" | "floats":
                return float_of(cast("int", value))
            case "s" | "strings":
                return _text_or_bytes(cast("bytes", value))
            case "t" | "tensors":
                return TensorData(cast("onnx.TensorProto", value), self._storage)
            case "tp" | "type_protos":
                return self._types.read(cast("onnx.TypeProto", value))
            case "sparse_tensor" | "sparse_tensors":
                return sparse_tensor(cast("onnx.SparseTensorProto", value), self._storage)
            case _:
                return cast("int", value)


def sparse_tensor(sparse: onnx.SparseTensorProto, storage: Storage) -> SparseTensor:
    """A sparse tensor of an exact message."""
    return SparseTensor(TensorData(sparse.values, storage), TensorData(sparse.indices, storage), tuple(sparse.dims))


def _present(attribute: onnx.AttributeProto) -> str | None:
    """The field that has the value, for old files without the type."""
    for name in _SINGLES:
        if attribute.HasField(name):
            return name
    return next((name for name in _LISTS if len(getattr(attribute, name))), None)
