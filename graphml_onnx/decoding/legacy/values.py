"""Converts attributes and types of the earlier formats to this one, with the help of ONNX's operator schemas.

Source: docs/validation.md, section "Earlier formats".
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from typing import TYPE_CHECKING

import onnx
from onnx import defs

from graphml_onnx.support.strictjson import Json, JsonError, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

_ELEMENTS = frozenset(name for name, number in onnx.TensorProto.DataType.items() if number)

TAG = "hierarchy_tag"
"""Key of an operator's tag. In ONNX it was an attribute, which onnx.checker refuses."""

# Names of numpy, by which these formats call types, and bytes of an element.
_NUMPY = {"float32": "FLOAT", "float64": "DOUBLE"}
_BYTES = (
    {"BOOL": 1, "INT8": 1, "UINT8": 1, "INT16": 2, "UINT16": 2, "FLOAT16": 2, "BFLOAT16": 2}
    | {"INT32": 4, "UINT32": 4, "FLOAT": 4}
    | {"INT64": 8, "UINT64": 8, "DOUBLE": 8, "COMPLEX64": 8, "COMPLEX128": 16}
)


def _element(text: Json) -> str:
    """The name in ONNX of a type of elements."""
    return _NUMPY.get(text, text.upper()) if isinstance(text, str) else ""


def least_inputs(data: Mapping[str, str], opsets: Mapping[str, int]) -> int:
    """How many inputs ONNX demands of an operator; 0 for an operator that ONNX does not know."""
    domain = data.get("domain", "")
    try:
        return int(defs.get_schema(data["op_type"], opsets.get(domain, 1), domain).min_input)
    except defs.SchemaError:  # an operator of somebody's own
        return 0


def type_of(data: Mapping[str, str]) -> str | None:
    """The JSON of a tensor's type from an edge; None if it cannot be read."""
    try:
        type_ = tensor_type(data.get("tensor_type"), parse(data.get("tensor_shape", "null")))
    except JsonError:
        return None
    return None if type_ is None else json.dumps(type_)


def tensor_type(element: Json, shape: Json) -> dict[str, Json] | None:
    """A tensor's type; None if ONNX has no such elements.

    Args:
        element: what the elements are called, in ONNX or in numpy.
        shape: its sizes: numbers, names, and -1 for an unknown one; without one, it is unknown how many there are.
    """
    name = _element(element)
    if name not in _ELEMENTS:
        return None
    tensor: dict[str, Json] = {"elem_type": name}
    if isinstance(shape, list):
        tensor["shape"] = {"dim": [_dimension(size) for size in shape]}
    return {"tensor_type": tensor}


def _dimension(size: Json) -> Json:
    if isinstance(size, int) and not isinstance(size, bool) and size >= 0:
        return {"dim_value": size}
    return {"dim_param": size} if isinstance(size, str) else {}


def tensor_of(name: str, value: Json, *, dtype: str, shape: str, data: str) -> tuple[dict[str, Json], bytes] | None:
    """A tensor written as base64 of its elements, in little-endian order; None if it cannot be read.

    Args:
        name: what it is called.
        value: the JSON object.
        dtype: the member with the type of its elements.
        shape: the member with its sizes.
        data: the member with the base64.

    Returns:
        The JSON of a TensorProto of this format, and its bytes.
    """
    if not isinstance(value, dict):
        return None
    element, sizes, text = _element(value.get(dtype)), value.get(shape), value.get(data)
    if not isinstance(sizes, list) or not isinstance(text, str):
        return None
    dims = [size for size in sizes if isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 1 << 62]
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(dims) != len(sizes) or len(raw) != math.prod(dims) * _BYTES.get(element, -1):
        return None
    tensor: dict[str, Json] = {"dims": [*dims], "data_type": element, "raw_data": {"$base64": text}}
    return tensor | ({"name": name} if name else {}), raw


def names_of(text: str | None) -> list[str] | None:
    """The names in a JSON list; None if there is no list of names."""
    try:
        value = parse(text) if text is not None else None
    except JsonError:
        return None
    if not isinstance(value, list):
        return None
    names = [item for item in value if isinstance(item, str)]
    return names if len(names) == len(value) else None


def attributes_of(text: str) -> list[Json] | None:
    """Attributes except the tag, from a JSON object; None if it is no object, or a value has no clear type."""
    try:
        values = parse(text)
    except JsonError:
        return None
    if not isinstance(values, dict):
        return None
    attributes: list[Json] = []
    for name, value in values.items():
        if name == TAG:
            continue
        entry = _attribute(name, value)
        if entry is None:
            return None
        attributes.append({"name": name, **entry})
    return attributes


_FIELDS = ((int, "i", "INT"), (float, "f", "FLOAT"), (str, "s", "STRING"))


def _attribute(name: str, value: Json) -> dict[str, Json] | None:
    if isinstance(value, dict):
        read = tensor_of(str(value.get("name", "")), value, dtype="numpy_dtype", shape="dims", data="data_b64")
        return None if read is None else {"t": read[0], "type": "TENSOR"}
    if isinstance(value, str) and value.startswith(f'name: "{name}"\n'):
        return None  # text of protobuf: what the writer had no JSON for, such as a subgraph
    for kind, member, type_ in _FIELDS:
        if isinstance(value, kind) and not isinstance(value, bool):
            return {member: value, "type": type_}
        if isinstance(value, list) and value and all(type(item) is kind for item in value):
            return {{"i": "ints", "f": "floats", "s": "strings"}[member]: value, "type": f"{type_}S"}
    return None
