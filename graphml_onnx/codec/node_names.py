"""Names of nodes: how to distinguish them from ids, and how messages name a node."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from graphml_onnx.codec.scalars import string_of
from graphml_onnx.onnxfile import schema
from graphml_onnx.support.strictjson import JsonError
from graphml_onnx.support.text import json_string, unescape

if TYPE_CHECKING:
    from collections.abc import Mapping

    import onnx


def set_apart(texts: dict[str, str]) -> None:
    """Writes a name that equals the node_id as a literal: Cytoscape gives the bare one to a node without a name."""
    if texts.get("name") == texts["node_id"]:
        texts["name"] = json_string(texts["name"])


def drop_given_name(texts: dict[str, str]) -> None:
    """Drops a name that Cytoscape gave; the inverse of `set_apart`."""
    if "name" in texts and texts["name"] == texts.get("node_id"):
        del texts["name"]


_MAX_NAME = 80  # characters
_MESSAGES = {"op": "NodeProto", "input": "ValueInfoProto", "output": "ValueInfoProto", "parameter": "TensorProto"}


def called(what: str, name: str, xml_id: str = "") -> str:
    """The name of a node in messages: ``MatMul '/head/MatMul'``, ``output 'y'`` or ``Relu (node n7)``.

    Args:
        what: its kind, or the type of the operator.
        name: its name; may be empty.
        xml_id: its id in the file, shown if it has no name.
    """
    return f"{_cut(what)} {_cut(name)!r}" if name else f"{_cut(what)} (node {_cut(xml_id)})"


def named_by_texts(texts: Mapping[str, str]) -> tuple[str, str]:
    """The kind (or type) of a node and its name, given its texts by key."""
    kind = texts.get("kind", "node")
    return _text(texts, "op_type", "operator") if kind == "op" else kind, _text(texts, "name", "")


def named_by_message(kind: str, content: bytes) -> tuple[str, str]:
    """The kind (or type) of a node and its name, given its kind and the serialised message."""
    message = schema.message_class(_MESSAGES[kind]).FromString(content)
    name = string_of(cast("onnx.ValueInfoProto", message).name)
    return string_of(cast("onnx.NodeProto", message).op_type) if kind == "op" else kind, name


def _text(texts: Mapping[str, str], key: str, default: str) -> str:
    text = texts.get(key, default)
    try:
        return unescape(text)
    except JsonError:
        return text


def _cut(name: str) -> str:
    return name if len(name) <= _MAX_NAME else f"{name[: _MAX_NAME - 3]}..."
