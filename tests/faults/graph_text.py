"""GraphML written by hand: the least that is a graph of this format, and whatever is put into it."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from graphml_onnx.codec.keys import FORMAT_VERSION, KEYS

if TYPE_CHECKING:
    from collections.abc import Iterable

ZERO_DIGEST = "0" * 64
_HEADER = '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n' + "\n".join(
    f'<key id="{name}" for="node" attr.name="{name}" attr.type="string"/>'
    for name, info in KEYS.items()
    if info.key.scope == "node"
)


def node(node_id: str, **data: object) -> str:
    """A node with the given data, on one line; its XML id is its ``node_id`` too, unless the data say otherwise."""
    values = {"node_id": node_id, **data}
    texts = "".join(f'<data key="{key}">{escape(str(value))}</data>' for key, value in values.items())
    return f'<node id="{node_id}">{texts}</node>\n'


def operator(node_id: str, after: str = "m", parent: str = "m", **data: object) -> str:
    return node(node_id, **{"kind": "op", "parent": parent, "after": after, "op_type": "Relu", **data})


def body(node_id: str, parent: str, index: int = 0) -> str:
    return node(node_id, kind="subgraph", parent=parent, index=index)


def module(node_id: str, parent: str) -> str:
    return node(node_id, kind="module", parent=parent)


def edge(source: str, target: str) -> str:
    return f'<edge source="{source}" target="{target}"/>\n'


def graph(*elements: str, **data: object) -> str:
    """A document: a model with the given data, and the given elements."""
    model = {"kind": "model", "format_version": FORMAT_VERSION, "ir_version": 10, "name": "g", **data}
    return document(node("m", **{key: value for key, value in model.items() if value is not None}), *elements)


def document(*elements: str) -> str:
    """A document of the given elements, with a declaration of every key."""
    return f'{_HEADER}\n<graph edgedefault="directed">\n{"".join(elements)}</graph></graphml>\n'


def payload(offset: object = 0, length: object = 4, sha256: str = ZERO_DIGEST) -> str:
    """A reference by offset, as with `reference` and `embedded`."""
    return f'{{"$payload":{{"offset":{offset},"length":{length},"sha256":"{sha256}"}}}}'


def named(name: str = "w", length: object = 4, sha256: str = ZERO_DIGEST) -> str:
    """A reference by name, as in a sidecar."""
    return f'{{"$payload":{{"name":"{name}","length":{length},"sha256":"{sha256}"}}}}'


def initializers(tensors: Iterable[str]) -> str:
    """The text of ``initializers``: tensors with the given raw data."""
    return "[" + ",".join(f'{{"name":"w","dims":[1],"data_type":"FLOAT","raw_data":{raw}}}' for raw in tensors) + "]"
