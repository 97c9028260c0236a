"""Every key of the format, in one table: the truth, which decode reads, and what is derived, which decode ignores.

A key for a field of ONNX comes from its row in `fields.py`. Any other new key needs a row in `_TABLE`, its value in
`encoder.py`, and where it is truth, `KEYS_OF_KIND` and `decoder.py`.

Source: docs/format.md, section "Keys"; a test compares the two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from graphml_onnx.codec.fields import CATCH_ALL, FIELDS, Form
from graphml_onnx.codec.weight_inputs import KEY as WEIGHT_INPUTS
from graphml_onnx.graphml.elements import Key, Nesting, RowKeys

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphml_onnx.parameters.store import PayloadReference

FORMAT_VERSION = "4.1.0"
"""The newest version of the format."""

BASE_VERSION = "4.0.0"
"""The version of a document that needs nothing newer."""


class KeyInfo(NamedTuple):
    """A key of the format.

    Attributes:
        key: how it is declared.
        form: how its value is written.
        truth: whether decode reads it; otherwise it is derived from the truth.
        meaning: what it holds, in a few words.
    """

    key: Key
    form: Form
    truth: bool
    meaning: str


def _truth(name: str, form: Form, meaning: str) -> KeyInfo:
    return KeyInfo(Key(name, "node"), form, truth=True, meaning=meaning)


def _derived(name: str, form: Form, meaning: str, scope: Literal["node", "edge"] = "node") -> KeyInfo:
    type_: Literal["string", "int"] = "int" if form is Form.INTEGER else "string"
    return KeyInfo(Key(name, scope, type_), form, truth=False, meaning=meaning)


def _field_keys() -> list[KeyInfo]:
    forms: dict[str, Form] = {}
    sources: dict[str, list[str]] = {}
    for row in FIELDS:
        if row.form is not Form.NODES:
            forms[row.key] = row.form
            sources.setdefault(row.key, []).append(f"{row.message}.{row.field}")
    for message, key in CATCH_ALL.items():
        forms[key] = Form.JSON
        sources.setdefault(key, []).append(f"any other field of {message}")
    return [_truth(key, forms[key], ", ".join(fields)) for key, fields in sources.items()]


_TABLE = (
    _truth("kind", Form.AS_IS, "model, module, op, input, output, subgraph, function, parameter or frame"),
    _truth("node_id", Form.AS_IS, "the node's identity; XML ids are not read"),
    _truth("parent", Form.AS_IS, "node_id of the compound that holds the node"),
    _truth("after", Form.AS_IS, "node_id of the node before it in its ONNX list, or of the graph or function"),
    _truth("index", Form.INTEGER, "number of the subgraph in the operator's attributes"),
    _derived("label", Form.TEXT, "what a person reads on the node"),
    _derived("hierarchy_tag", Form.TEXT, "HTP tag of the operator or module"),
    _truth("format_version", Form.AS_IS, "version of this format"),
    _truth("source_sha256", Form.TEXT, "SHA-256 of the encoded file"),
    _truth("source_size", Form.INTEGER, "size of the encoded file in bytes"),
    _truth("parameter_strategy", Form.TEXT, "sidecar, embedded or reference"),
    _truth("parameter_file", Form.TEXT, "name of the file that holds the payloads"),
    _truth("parameter_size", Form.INTEGER, "size in bytes of the store of payloads"),
    _truth("parameter_checksum", Form.TEXT, "SHA-256 of the header of a sidecar"),
    *_field_keys(),
    _truth(WEIGHT_INPUTS, Form.JSON, "inputs that are weights, before IR version 4: place and ValueInfoProto of each"),
    _truth("tensor", Form.JSON, "TensorProto of an initializer that is shown as a node"),
    _truth("external_files", Form.JSON, "data files of the model"),
    _truth("residue", Form.JSON, "patch that restores a file that is not canonical protobuf"),
    _truth("htp_metadata", Form.TEXT, "the HTP metadata file, as it is"),
    _truth("parameter_data", Form.BASE64, "the store of payloads in base64"),
    _derived("hierarchy_source", Form.TEXT, "where the hierarchy comes from"),
    _derived("class_name", Form.TEXT, "class of the module"),
    _derived("module_source", Form.TEXT, "source of the module"),
    _derived("placed_by", Form.TEXT, "rule that placed the operator in its module"),
    _derived("call", Form.TEXT, "number of the call, in a module that runs more than once"),
    _derived("module_type", Form.TEXT, "type of the module, as the metadata gives it"),
    _derived("scope", Form.TEXT, "path of the module from the root"),
    _derived("traced_tag", Form.TEXT, "tag of the module, as traced"),
    _derived("execution_order", Form.INTEGER, "when the module runs"),
    _derived("tensor_name", Form.TEXT, "tensor that flows along the edge", "edge"),
    _derived("tensor_type", Form.TEXT, "its type, if the model has it", "edge"),
    _derived("tensor_shape", Form.JSON, "its shape, if the model has it", "edge"),
    _derived("input_index", Form.INTEGER, "place among the inputs of the target", "edge"),
)

KEYS: dict[str, KeyInfo] = {info.key.name: info for info in _TABLE}
"""All keys by name, in the order in which they are declared."""

_IDENTITY = frozenset({"kind", "node_id", "parent"})
_STORE = frozenset(name for name in KEYS if name.startswith(("parameter_", "source_")))


def _keys_of(*messages: str) -> frozenset[str]:
    rows = {row.key for row in FIELDS if row.message in messages and row.form is not Form.NODES}
    return _IDENTITY | rows | {CATCH_ALL[message] for message in messages}


KEYS_OF_KIND = {
    "model": _keys_of("ModelProto", "GraphProto")
    | _STORE
    | {"format_version", "external_files", "residue", "htp_metadata", WEIGHT_INPUTS},
    "module": _IDENTITY,
    "op": _keys_of("NodeProto") | {"after"},
    "input": _keys_of("ValueInfoProto") | {"after"},
    "output": _keys_of("ValueInfoProto") | {"after"},
    "subgraph": _keys_of("GraphProto") | {"index", WEIGHT_INPUTS},
    "function": _keys_of("FunctionProto") | {"after"},
    "parameter": _IDENTITY | {"after", "tensor"},
}
"""By kind of node, the keys of the truth that it can have."""

OPERATOR_ROWS = RowKeys(
    ("kind", "op"),
    ("node_id", "parent", "after"),
    (
        *("label", "hierarchy_tag", "placed_by", "call"),
        *(row.key for row in FIELDS if row.message == "NodeProto"),
        CATCH_ALL["NodeProto"],
    ),
)
"""The order of an operator's values in documents that `GraphEncoder` writes."""

EMBEDDED_KEY = "parameter_data"
"""The key of the store of payloads in the GraphML. It is too long for memory, so it is read and written in pieces."""

NESTING = Nesting("node_id", "parent")
"""The keys that the nesting of nodes replaces in a document that declares no keys."""

TRUTH_KEYS = frozenset(name for name, info in KEYS.items() if info.truth)


def version_of(references: Iterable[PayloadReference]) -> str:
    """The version of a document with these payloads: the lowest possible, for older readers."""
    return FORMAT_VERSION if any(reference.file is not None for reference in references) else BASE_VERSION


def declared(used: set[str]) -> list[Key]:
    """The declarations of the keys in use, in the order of the table."""
    return [info.key for name, info in KEYS.items() if name in used]


WIRING_KEYS = frozenset({"tensor_name", "input_index"})
"""The keys of edges that are read if edges are trusted."""

PARENTS_OF_KIND = {
    "model": (),
    "module": ("model", "module", "subgraph", "function"),
    "op": ("model", "module", "subgraph", "function"),
    "input": ("subgraph",),
    "output": ("subgraph",),
    "subgraph": ("op",),
    "function": ("model",),
    "parameter": ("model", "module", "subgraph"),
}
"""By kind of node, the kinds of node that can be its parent; inputs and outputs of the main graph have none."""
