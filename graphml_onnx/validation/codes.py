"""Every code that a finding can have, in one table: how bad it is, what it means, and what to do.

Source: docs/validation.md; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from graphml_onnx.results import Severity

Layer: TypeAlias = Literal["document", "keys", "nodes", "graph", "hierarchy", "store", "outcome"]


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of finding.

    Attributes:
        name: the code itself, which stays the same from release to release.
        layer: which part of the validation reports it.
        severity: ``error`` where the document is not valid, or does not come back as a valid model; ``warning`` where
            it decodes, but probably not to what was intended; ``info`` for what is only good to know.
        meaning: when it is reported.
        remedy: what to do about it.
    """

    name: str
    layer: Layer
    severity: Severity
    meaning: str
    remedy: str


def _layer(layer: Layer, *rows: tuple[str, Severity, str, str]) -> list[Code]:
    return [Code(name, layer, severity, meaning, remedy) for name, severity, meaning, remedy in rows]


_AGAIN = "encode the model again"

_TABLE = (
    *_layer(
        "document",
        ("not-graphml", "error", "the file is empty, of another kind, or its root element is not `graphml`",
         "give a file that g2o encode or a graph tool wrote"),
        ("not-well-formed", "error", "the XML is cut off or damaged; nothing after this place is checked",
         "repair the XML, or encode the model again"),
        ("encoding", "error", "the file is not in UTF-8", "convert the file to UTF-8"),
        ("doctype", "error", "there is a DOCTYPE, which can define entities", "remove the DOCTYPE"),
        ("limit", "error", "a limit of the format is exceeded (depth, length of a tag)", _AGAIN),
        ("misplaced-element", "error", "GraphML does not allow this element at this place",
         "move or remove the element"),
        ("unknown-element", "error", "GraphML has no such element", "remove it, or put it into a data element"),
        ("missing-attribute", "error", "an attribute that GraphML demands is missing", "add the attribute"),
        ("edgedefault-missing", "info", "a graph does not say whether its edges are directed, as GraphML demands",
         "nothing: edges of this format are directed"),
        ("element-in-value", "error", "a value of the format, which is text, contains an element",
         "write the value as text"),
        ("not-supported", "warning", "ports, hyperedges and endpoints mean nothing here, and are passed over",
         "use nodes and edges only"),
        ("schema", "error", "the document does not follow the schema of the format (only with `schema`)",
         "see docs/validation.md for what the schema checks"),
    ),
    *_layer(
        "keys",
        ("key-undeclared", "error", "a value names a key that is not declared", "declare the key before the graph"),
        ("key-twice", "error", "two keys have one id", "remove one of the declarations"),
        ("key-default", "error", "a key of the format has a default", "write the value into each node"),
        ("key-scope", "warning", "a key of the format stands on, or is declared for, the wrong kind of element",
         "declare the key for the elements that the format gives it to: the value is not read"),
        ("value-twice", "error", "a node or an edge has two values of one key", "remove one of the values"),
        ("keys-renumbered", "info", "another tool gave the keys of the format ids of its own",
         "nothing: keys are recognised by attr.name"),
        ("keys-gone", "info", "another tool dropped the declarations of the keys",
         "nothing: keys are recognised by their names"),
        ("keys-of-other-tools", "info", "there are keys that the format does not have",
         "nothing: they are passed over"),
        ("foreign", "error", "it is GraphML, but not of this format", "give a graph that g2o encode wrote"),
    ),
    *_layer(
        "nodes",
        ("format-version", "error", "the format version is missing, or another major version", _AGAIN),
        ("model-missing", "error", "no node is the model", _AGAIN),
        ("model-twice", "error", "a second node is the model", "remove one of them"),
        ("incomplete-node", "error", "a node lacks `kind`, `node_id` or `parent`, or a subgraph its `index`",
         "add the value"),
        ("passed-over", "warning", "a node holds no data of the format, as notes and groups that somebody drew",
         "nothing, if it was drawn; otherwise a tool has dropped its data"),
        ("unknown-kind", "error", "a node has a kind that the format does not have", "correct the kind"),
        ("key-on-wrong-kind", "error", "a value has no meaning on a node of this kind", "remove the value"),
        ("bad-value", "error", "a value cannot be read: JSON, a field that ONNX does not have, a number out of range",
         "correct the text there; docs/format.md says how values are written"),
        ("id-twice", "error", "two nodes have one XML id", "give each node an id of its own"),
        ("node-twice", "error", "two nodes have one `node_id`", "give a copied node an identity of its own"),
        ("index-twice", "error", "two bodies of an operator have one `index`",
         "give one of them the number that an attribute names"),
        ("order-open", "warning", "`after` is missing, or names no node of the list, or one that another names too",
         "nothing, if the order of decode is meant: operators stand before those that consume what they make"),
        ("order-circle", "error", "nodes of a list stand after each other in a circle",
         "correct `after` of one of them"),
        ("parent-missing", "error", "no node has the `node_id` that is given as `parent`", "correct the parent"),
        ("parent-kind", "error", "the parent is of a kind that cannot hold this node", "correct the parent"),
        ("parent-cycle", "error", "modules or bodies contain each other", "correct the parents"),
        ("body-missing", "error", "an attribute names a body that the operator does not have",
         "add the subgraph, or correct the number in the attribute"),
        ("body-unnamed", "error", "no attribute, or more than one, names a body of the operator",
         "name each body once in the operator's attributes"),
        ("edge-end-missing", "error", "an edge ends at a node that does not exist", "remove or correct the edge"),
    ),
    *_layer(
        "graph",
        ("edge-mismatch", "error", "edges and the operators' inputs and outputs say different things",
         "correct one of the two, or decode with `trust=...`"),
        ("dangling-input", "error", "an operator consumes a tensor that nothing in its scope produces",
         "produce the tensor, or take the name out of the inputs"),
        ("dangling-output", "error", "an output of a graph is a tensor that nothing in its scope produces",
         "produce the tensor, or remove the output"),
        ("tensor-twice", "error", "two operators or inputs of one body produce a tensor of the same name",
         "rename one of them"),
        ("tensor-shadowed", "warning", "a body produces a tensor that has the name of one around it",
         "rename the inner one"),
        ("name-twice", "warning", "two operators of one body have the same name", "rename one of them"),
        ("name-empty", "warning", "an input, output or initializer has no name", "give it a name"),
        ("weight-input", "warning", "an input that is said to be a weight has no initializer",
         "add the initializer, or make the input a node"),
        ("not-sorted", "error", "an operator stands before the operator that produces its input",
         "correct `after` of the two: ONNX wants operators in topological order"),
        ("cycle", "error", "operators feed each other in a circle", "remove one of the connections"),
        ("stale-edge", "warning", "name, type, shape or place of the tensor on an edge contradict the operators",
         "nothing for decoding: edges are derived"),
    ),
    *_layer(
        "hierarchy",
        ("stale-tag", "warning", "the `hierarchy_tag` of an operator is that of another module than the one it is in",
         "nothing for decoding: tags are derived"),
        ("stale-scope", "warning", "the `scope` or tag of a module contradicts its place in the tree",
         "nothing for decoding: both are derived"),
        ("nesting-differs", "info", "a node is drawn in another group than its `parent` says",
         "to move it, change its parent; the drawing is not read"),
    ),
    *_layer(
        "store",
        ("store-value", "error", "strategy, size, checksum or file name of the store are malformed", _AGAIN),
        ("store-missing", "error", "the file with the payloads is missing", "put it beside the GraphML"),
        ("store-size", "error", "the file with the payloads has another size than the GraphML says",
         "the pair does not belong together, or the file was cut off"),
        ("store-unreadable", "error", "the file with the payloads cannot be read, or is a link",
         "put a regular file there"),
        ("store-header", "error", "the header of the sidecar is damaged, is another one, or lacks a tensor",
         "the file was changed or damaged since it was written"),
        ("store-alias", "info", "the sidecar lies under its temporary name, because a replacement was interrupted",
         "encode again, or rename it to its name"),
        ("payload-range", "error", "payloads overlap, or lie outside their store", _AGAIN),
        ("payload-digest", "error", "a payload has another SHA-256 than the GraphML says",
         "the file was changed or damaged since it was written"),
        ("data-file", "error", "a data file of the model is missing, unreadable, or has changed",
         "put the data file back"),
    ),
    *_layer(
        "outcome",
        ("edited", "info", "the graph was edited: it comes back as another model than the one that was encoded",
         "nothing, if the edit was meant"),
        ("onnx-checker", "error", "onnx.checker refuses the edited model", "correct the graph"),
        ("not-decodable", "error", "the graph does not come back as ONNX",
         "correct the errors, or encode the model again"),
        ("older-format", "warning", "the file is of an earlier format, 1.1 to 1.3", _AGAIN),
        ("older-lacks", "warning", "what a file of an earlier format does not say",
         "encode the model again, if it is still there"),
        ("not-listed", "info", "there are more findings of one code than are listed",
         "correct those that are listed, and validate again"),
    ),
)  # fmt: skip

OF_THE_MODEL = frozenset(code.name for code in _TABLE if code.layer == "graph") - {"edge-mismatch", "stale-edge"}
"""Codes of what a model may bring along: no fault of a graph that comes back exactly."""

CODES: dict[str, Code] = {code.name: code for code in _TABLE}
"""All codes by name, layer by layer."""
