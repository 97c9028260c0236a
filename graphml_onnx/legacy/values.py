"""Values of the earlier formats as values of this one: attributes, types, and what ONNX itself says of an operator.

Source: docs/validation.md, section "Earlier formats".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import onnx
from onnx import defs

from graphml_onnx.strictjson import Json, JsonError, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

_ELEMENTS = frozenset(name for name, number in onnx.TensorProto.DataType.items() if number)


def least_inputs(data: Mapping[str, str], opsets: Mapping[str, int]) -> int:
    """How many inputs ONNX demands of an operator; 0 for an operator that ONNX does not know."""
    domain = data.get("domain", "")
    try:
        return int(defs.get_schema(data["op_type"], opsets.get(domain, 1), domain).min_input)
    except defs.SchemaError:  # an operator of somebody's own
        return 0


def type_of(data: Mapping[str, str]) -> str | None:
    """The JSON of a tensor's type from what an edge says of it."""
    element = data.get("tensor_type", "").upper()
    if element not in _ELEMENTS:
        return None
    tensor: dict[str, Json] = {"elem_type": element}
    try:
        shape = parse(data.get("tensor_shape", "null"))
    except JsonError:
        return None
    if isinstance(shape, list):
        tensor["shape"] = {"dim": [_dimension(size) for size in shape]}
    return json.dumps({"tensor_type": tensor})


def _dimension(size: Json) -> Json:
    if isinstance(size, int):
        return {"dim_value": size}
    return {"dim_param": size} if isinstance(size, str) else {}


def attributes_of(text: str) -> list[Json] | None:
    """Attributes from a JSON object of names and values; None where it is none, or a value has no clear type."""
    try:
        values = parse(text)
    except JsonError:
        return None
    if not isinstance(values, dict):
        return None
    attributes: list[Json] = []
    for name, value in values.items():
        entry = _attribute(value)
        if entry is None:
            return None
        attributes.append({"name": name, **entry})
    return attributes


_FIELDS = ((int, "i", "INT"), (float, "f", "FLOAT"), (str, "s", "STRING"))


def _attribute(value: Json) -> dict[str, Json] | None:
    for kind, name, type_ in _FIELDS:
        if isinstance(value, kind) and not isinstance(value, bool):
            return {name: value, "type": type_}
        if isinstance(value, list) and value and all(type(item) is kind for item in value):
            return {{"i": "ints", "f": "floats", "s": "strings"}[name]: value, "type": f"{type_}S"}
    return None
