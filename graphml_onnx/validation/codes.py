"""The table of all codes of findings: severity, meaning, remedy, effect and example.

Source: docs/validation.md; a test compares the two.
"""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from graphml_onnx.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from graphml_onnx.results import Severity

Layer: TypeAlias = Literal["document", "keys", "nodes", "graph", "hierarchy", "store", "outcome", "run"]


@dataclass(frozen=True, slots=True)
class Code:
    """One kind of finding.

    Attributes:
        name: the code itself; it never changes.
        layer: the part of the validation that reports it; ``run`` if other commands warn of it.
        severity: ``error`` if the document is not valid, or does not decode to a valid model; ``warning`` if it
            decodes, but probably not to what you intended; ``info`` for information.
        meaning: when it is reported.
        remedy: what to do about it.
        why: what goes wrong if nobody fixes it.
        example: what it looks like, or how it happens.
    """

    name: str
    layer: Layer
    severity: Severity
    meaning: str
    remedy: str
    why: str
    example: str


def _layer(layer: Layer, *rows: tuple[str, Severity, str, str, str, str]) -> list[Code]:
    return [
        Code(name, layer, severity, meaning, remedy, why, example)
        for name, severity, meaning, remedy, why, example in rows
    ]


_AGAIN = "encode the model again"

_TABLE = (
    *_layer(
        "document",
        ("not-graphml", "error", "the file is empty, of another kind, or its root element is not `graphml`",
         "give a file that g2o encode or a graph tool wrote",
         "only GraphML can be read back",
         "an SVG picture that was saved as model.graphml"),
        ("not-well-formed", "error", "the XML is cut off or damaged; nothing after this place is checked",
         "repair the XML, or encode the model again",
         "no XML parser can read past this place",
         "a download that ended too early"),
        ("encoding", "error", "the file is not in UTF-8",
         "convert the file to UTF-8",
         "names of tensors must come back byte for byte, which needs one encoding",
         '<?xml version="1.0" encoding="latin-1"?>'),
        ("doctype", "error", "there is a DOCTYPE, which can define entities",
         "remove the DOCTYPE",
         "entities can read other files, or expand without limit",
         "<!DOCTYPE graphml>"),
        ("limit", "error", "a limit of the format is exceeded (depth, length of a tag)",
         _AGAIN,
         "limits keep hostile files from taking all memory",
         "elements that are nested deeper than 2,000"),
        ("misplaced-element", "error", "GraphML does not allow this element at this place",
         "move or remove the element",
         "other tools refuse such a file, or read it otherwise",
         "a key element after the graph has begun"),
        ("unknown-element", "error", "GraphML has no such element",
         "remove it, or put it into a data element",
         "other tools refuse such a file",
         "<vertex/> instead of <node/>"),
        ("missing-attribute", "error", "an attribute that GraphML requires is missing",
         "add the attribute",
         "an edge without ends, or a node without an id, means nothing",
         '<edge source="model"/>'),
        ("edgedefault-missing", "info", "a graph does not say whether its edges are directed, which GraphML requires",
         "nothing: edges of this format are directed",
         "some tools refuse such a graph",
         '<graph id="g">'),
        ("element-in-value", "error", "a value of the format, which is text, contains an element",
         "write the value as text",
         "a tool may drop elements inside a value",
         '<data key="name">relu<b/></data>'),
        ("not-supported", "warning", "ports, hyperedges and endpoints have no meaning here, and are ignored",
         "use nodes and edges only",
         "their content is lost when the graph is decoded",
         "<hyperedge/>"),
        ("schema", "error", "the document does not follow the schema of the format (only with `schema`)",
         "see docs/validation.md for what the schema checks",
         "pipelines can require that no other tool has changed a file",
         '<edge weight="1" source="a" target="b"/>'),
    ),
    *_layer(
        "keys",
        ("key-undeclared", "error", "a value names a key that is not declared",
         "declare the key before the graph",
         "the meaning of the value is unknown",
         '<data key="colour">red</data> without a key "colour"'),
        ("key-twice", "error", "two keys have one id",
         "remove one of the declarations",
         "values could mean the one or the other",
         'two elements <key id="kind" .../>'),
        ("key-default", "error", "a key of the format has a default",
         "write the value into each node",
         "absent is not default: nodes without the value would get one",
         "<key ...><default>op</default></key>"),
        ("key-scope", "warning", "a key of the format is used on, or declared for, the wrong kind of element",
         "declare the key for the kind of element in docs/format.md: the value is not read",
         "tools drop values whose key is not declared for the element",
         "an op_type on an edge"),
        ("value-twice", "error", "a node or an edge has two values of one key",
         "remove one of the values",
         "it is not clear which of the two counts",
         "two values of op_type in one node"),
        ("keys-renumbered", "info", "another tool gave the keys of the format its own ids",
         "nothing: keys are recognised by attr.name",
         "it shows that another tool saved the file",
         '<key id="d0" attr.name="kind" .../>'),
        ("keys-gone", "info", "another tool dropped the declarations of the keys",
         "nothing: keys are recognised by their names",
         "it shows that another tool saved the file",
         "a file without any key element"),
        ("keys-of-other-tools", "info", "there are keys that the format does not have",
         "nothing: they are passed over",
         "they are lost when the graph is decoded",
         '<key id="q" attr.name="colour" .../>'),
        ("foreign", "error", "it is GraphML, but not of this format",
         "give a graph that g2o encode wrote",
         "it holds no model",
         "a social network that was saved by networkx"),
    ),
    *_layer(
        "nodes",
        ("format-version", "error", "the format version is missing, or another major version",
         _AGAIN,
         "another major version has other keys, or keys of another meaning",
         "format_version 2.0.0"),
        ("model-missing", "error", "no node is the model",
         _AGAIN,
         "the model's node says version, operator sets and where the weights are",
         "part of a graph that was copied into a new file"),
        ("model-twice", "error", "a second node is the model",
         "remove one of them",
         "only one of them can be the model",
         "two graphs that were merged into one file"),
        ("incomplete-node", "error", "a node lacks `kind`, `node_id` or `parent`, or a subgraph its `index`",
         "add the value",
         "without them it is not known what the node is, or where it belongs",
         "an operator without parent"),
        ("passed-over", "warning", "a node has no data of the format, such as a note or a group that somebody drew",
         "nothing, if it was drawn; otherwise a tool has dropped its data",
         "if it was an operator, the operator is gone",
         "a sticky note that was drawn in yEd"),
        ("unknown-kind", "error", "a node has a kind that the format does not have",
         "correct the kind",
         "it is not known what the node represents",
         "kind operator instead of op"),
        ("key-on-wrong-kind", "error", "a value has no meaning on a node of this kind",
         "remove the value",
         "decode would have nowhere to put the value",
         "an op_type on an input"),
        ("bad-value", "error", "a value cannot be read: JSON, a field that ONNX does not have, a number out of range",
         "correct the text there; docs/format.md says how values are written",
         "decode cannot put the value into a field of ONNX",
         'inputs [x] instead of ["x"]'),
        ("id-twice", "error", "two nodes have one XML id",
         "give each node an id of its own",
         "edges could mean the one node or the other",
         "a node that was pasted with its id"),
        ("node-twice", "error", "two nodes have one `node_id`",
         "give a copied node an identity of its own",
         "parents and orders could mean the one node or the other",
         "a node that was copied with all its values"),
        ("index-twice", "error", "two bodies of an operator have one `index`",
         "give one of them the number that an attribute names",
         "an attribute could mean the one body or the other",
         "two branches of an If with the index 0"),
        ("order-open", "warning", "`after` is missing, or names no node of the list, or one that another names too",
         "nothing, if you want the order of decode: operators come before those that consume their outputs",
         "ONNX keeps operators in a list, so the graph must define their order",
         "an operator that was inserted without the value after"),
        ("order-circle", "error", "the order of nodes in a list is circular",
         "change the value after of one of them to another node",
         "no list has such an order",
         "A comes after B, and B after A"),
        ("parent-missing", "error", "no node has the `node_id` that is given as `parent`",
         "correct the parent",
         "the node belongs nowhere",
         "a module was removed, and its operators were not"),
        ("parent-kind", "error", "the parent is of a kind that cannot hold this node",
         "correct the parent",
         "only models, modules, functions and bodies contain operators",
         "an operator as the parent of an operator"),
        ("parent-cycle", "error", "modules or bodies contain each other",
         "correct the parents",
         "neither of them is in the model",
         "module a in module b, and b in a"),
        ("body-missing", "error", "an attribute names a body that the operator does not have",
         "add the subgraph, or correct the number in the attribute",
         "an If without a branch is no If",
         "the group of a branch was removed"),
        ("body-unnamed", "error", "no attribute, or more than one, names a body of the operator",
         "name each body once in the operator's attributes",
         "the body would be lost when the graph is decoded",
         "an If whose attributes name branch 0 twice"),
        ("edge-end-missing", "error", "an edge ends at a node that does not exist",
         "remove or correct the edge",
         "the edge has no valid source or target",
         "a node was removed, and its edges were not"),
    ),
    *_layer(
        "graph",
        ("edge-mismatch", "error", "edges and the operators' inputs and outputs say different things",
         "correct one of the two, or decode with `trust=...`",
         "one of the two was edited and the other was not, and only you know which is meant",
         "an edge was drawn to another operator in yEd, and its inputs still name the old tensor"),
        ("dangling-input", "error", "an operator consumes a tensor that nothing in its scope produces",
         "produce the tensor, or take the name out of the inputs",
         "no runtime can run the operator",
         "the operator that made the tensor was removed"),
        ("dangling-output", "error", "an output of a graph is a tensor that nothing in its scope produces",
         "produce the tensor, or remove the output",
         "no runtime can give the output",
         "the last operator was renamed in its outputs only"),
        ("tensor-twice", "error", "two operators or inputs of one body produce a tensor of the same name",
         "rename one of them",
         "ONNX allows each name one producer",
         "an operator that was copied with its outputs"),
        ("tensor-shadowed", "warning", "a body produces a tensor that has the name of one around it",
         "rename the inner one",
         "ONNX forbids it, and readers confuse the two",
         "a tensor h in a branch of an If, and one around the If"),
        ("name-twice", "warning", "two operators of one body have the same name",
         "rename one of them",
         "tools that identify operators by name confuse the two",
         "an operator that was copied with its name"),
        ("name-empty", "warning", "an input, output or initializer has no name",
         "give it a name",
         "nothing can refer to it, and nobody can feed it",
         "an input that was added without a name"),
        ("weight-input", "warning", "an input that is listed as a weight has no initializer",
         "add the initializer, or make the input a node",
         "it then is an input that must be fed",
         "an initializer was renamed, and the input was not"),
        ("not-sorted", "error", "an operator comes before the operator that produces its input",
         "correct the value after of the two: ONNX requires topological order",
         "runtimes may run operators in the order of the list",
         "an operator that was moved before the one it takes from"),
        ("cycle", "error", "operators feed each other in a circle",
         "remove one of the connections",
         "no order can run them",
         "Relu takes what Add makes of it"),
        ("stale-edge", "warning", "name, type, shape or place of the tensor on an edge contradict the operators",
         "nothing for decoding: edges are derived",
         "readers of the graph see a wrong type, shape or name",
         "tensor_type INT8 on the edge of a FLOAT tensor"),
    ),
    *_layer(
        "hierarchy",
        ("stale-tag", "warning", "the `hierarchy_tag` of an operator belongs to another module than the one it is in",
         "nothing for decoding: tags are derived",
         "readers of the graph see a wrong module",
         "an operator that was moved to another module, with its old tag"),
        ("stale-scope", "warning", "the `scope` or tag of a module contradicts its place in the tree",
         "nothing for decoding: both are derived",
         "readers of the graph see a wrong path",
         "a module that was moved, with its old scope"),
        ("nesting-differs", "info", "a node is drawn in another group than its `parent` says",
         "to move the node, change its parent; the drawing is not read",
         "people see another hierarchy than decode reads",
         "an operator that was dragged into another group in yEd"),
    ),
    *_layer(
        "store",
        ("store-value", "error", "strategy, size, checksum or file name of the store are malformed",
         _AGAIN,
         "decode cannot find the weights, or check that they are the right ones",
         "parameter_strategy zip"),
        ("store-missing", "error", "the file with the payloads is missing",
         "put it beside the GraphML",
         "the model has no weights without it",
         "model.graphml was copied, and model.onnxdata was not"),
        ("store-size", "error", "the file with the payloads has another size than the GraphML says",
         "the pair does not belong together, or the file was cut off",
         "the weights would be wrong",
         "a copy of the sidecar that a full disk cut off"),
        ("store-unreadable", "error", "the file with the payloads cannot be read, or is a link",
         "put a regular file there",
         "a link could lead to any file, and a folder is not a file",
         "a link in the place of the sidecar"),
        ("store-header", "error", "the header of the sidecar is damaged, was changed, or lacks a tensor",
         "the file was changed or damaged since it was written",
         "decode finds the weights through the header",
         "a sidecar of another model under this name"),
        ("store-alias", "info", "the sidecar has its temporary name, because a replacement was interrupted",
         "encode again, or rename it to its name",
         "it shows that an earlier run was killed; decode finds the file anyway",
         "model.onnxdata.0123456789abcdef"),
        ("payload-range", "error", "payloads overlap, or lie outside their store",
         _AGAIN,
         "one weight would hold bytes of another",
         "an offset that was edited by hand"),
        ("payload-digest", "error", "a payload has another SHA-256 than the GraphML says",
         "the file was changed or damaged since it was written",
         "the weight differs from the encoded one",
         "one flipped bit in the sidecar"),
        ("data-file", "error", "a data file of the model is missing, unreadable, or has changed",
         "put the data file back",
         "the weights are there and nowhere else",
         "the model was moved without its .data file"),
    ),
    *_layer(
        "outcome",
        ("edited", "info", "the graph was edited: it decodes to a different model than the encoded one",
         "nothing, if the edit was meant",
         "you may need to know that nothing was changed",
         "an op_type that was changed from Relu to Elu"),
        ("onnx-checker", "error", "onnx.checker refuses the edited model",
         "correct the graph",
         "runtimes refuse the model",
         "an op_type that no operator set has"),
        ("not-decodable", "error", "the graph does not come back as ONNX",
         "correct the errors, or encode the model again",
         "the graph cannot be decoded to a model",
         "an attribute whose JSON is broken"),
        ("older-format", "warning", "the file is of an earlier format, 1.1 to 1.3",
         _AGAIN,
         "older formats store less about a model than this one",
         "a file that the first generation of this tool wrote"),
        ("older-lacks", "warning", "something that a file of an earlier format lacks",
         "encode the model again, if you still have it",
         "decode uses the default of ONNX, which may differ from the model's value",
         "types of inner tensors, which format 1.1 did not keep"),
        ("not-listed", "info", "there are more findings of one code than are listed",
         "correct the listed ones, and validate again",
         "a file full of faults should fit on a screen",
         "5 more findings of passed-over"),
    ),
    *_layer(
        "run",
        ("metadata-schema", "warning", "a section of the HTP metadata that places no operators violates its schema",
         "correct the metadata, or export the model again",
         "tools that read this section may fail",
         "a report whose numbers are texts"),
        ("metadata-empty", "warning", "the HTP metadata name no modules, and give every operator the same tag",
         "nothing, if the modules from names and parameters are enough; else export the model again",
         "the modules come from the names of operators and parameters, which may have less detail",
         "winml writes such metadata for a model that it exported with dynamo"),
        ("metadata-of-another", "warning", "the HTP metadata name less than half of the model's operators",
         "give the metadata of exactly this file",
         "operators are in the wrong modules, or in none",
         "metadata of the model before an optimiser renamed its operators"),
        ("parameters-contrary", "warning", "most operators with parameters are not in the module that owns these",
         "give the metadata of exactly this file, or encode without them",
         "the modules in the graph are not those of the model",
         "metadata of another layer count"),
        ("tag-contrary", "warning", "the HTP metadata give operators other tags than the model itself does",
         "give the metadata of exactly this file",
         "the metadata count, and the model may know better",
         "a model that was exported again, and metadata that were not"),
        ("tag-unknown", "warning", "operators have a tag that belongs to no module",
         "correct the metadata, or the tag",
         "they are placed in the nearest module above",
         "a module that was renamed in the metadata only"),
        ("tag-shared", "warning", "operators have a tag that several modules have",
         "give each module its own tag",
         "they are placed in the first of these modules",
         "two modules `/Net/Linear` without numbers"),
        ("too-deep", "warning", "paths of modules are longer than the format allows",
         "nothing: deeper modules are folded into their ancestor at the last level",
         "the tree of modules is not complete",
         "names that a generator nested without an end"),
        ("unplaced-operators", "warning", "the metadata, tags or exporter give no module for some operators",
         "nothing, if the place by neighbours or names is right",
         "these places are inferred",
         "operators that a quantiser added"),
        ("companion-files", "warning", "the model needs files beside it that are not external data",
         "move them together with the model",
         "the decoded model does not run without them",
         "the compiled contexts of EPContext operators"),
        ("data-files-elsewhere", "warning", "the decoded model needs data files that are beside the graph",
         "decode into the folder of the graph, or move the data files",
         "the decoded model does not load without them",
         "`g2o decode refs/graph.graphml -o out/model.onnx` of a graph that refers to data files"),
        ("shapes-not-inferred", "warning", "ONNX's shape inference fails for the model",
         "correct the model (see the message), or read it without shapes",
         "shapes and MACs that the model leaves out are unknown",
         "a Reshape to a shape of another size"),
        ("input-without-shape", "warning", "an input of an extracted part has no known shape",
         "add the shape by hand",
         "ONNX's checker requires a shape, and refuses the part",
         "a tensor after an operator that shape inference does not support"),
        ("output-without-shape", "warning", "an output of an extracted part has no known shape",
         "add the shape by hand",
         "ONNX's checker requires a shape, and refuses the part",
         "a tensor after an operator that shape inference does not support"),
        ("output-without-type", "warning", "an output of an extracted part has no known type",
         "add the type by hand, if a tool requires it",
         "some runtimes refuse outputs without types",
         "an output of an operator of another domain"),
        ("unreadable-weights", "warning", "weights are missing or damaged, and have no statistics",
         "put the data file or the sidecar back",
         "the picture of the model is not complete",
         "a model without the data file that it names"),
    ),
)  # fmt: skip

OF_THE_MODEL = frozenset(code.name for code in _TABLE if code.layer == "graph") - {"edge-mismatch", "stale-edge"}
"""Codes of faults that a model may already have: no fault of a graph that comes back exactly."""

CODES: dict[str, Code] = {code.name: code for code in _TABLE}
"""All codes by name, layer by layer."""


def codes_of(names: Iterable[str]) -> frozenset[str]:
    """The codes for names of codes or layers.

    Raises:
        UsageError: there is neither a code nor a layer of a name.
    """
    found: set[str] = set()
    for name in names:
        if name in get_args(Layer):
            found.update(code.name for code in _TABLE if code.layer == name)
        else:
            found.add(explain(name).name)
    return frozenset(found)


def explain(name: str) -> Code:
    """The explanation of a code.

    Raises:
        UsageError: there is no such code.
    """
    if name not in CODES:
        close = get_close_matches(name, CODES, 3)
        remedy = f"close to it: {', '.join(close)}" if close else "g2o explain lists all codes"
        raise UsageError(f"no finding has the code {name!r}", remedy=remedy)
    return CODES[name]
