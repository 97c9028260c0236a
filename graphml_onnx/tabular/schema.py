"""The tables and their columns with their meaning; docs/tables.md shows the same."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

VERSION = 1
"""Raised when a column changes its meaning or is removed, but not for a new column."""

TABLES: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "models": {
        "model": ("string", "key of the model: SHA-256 of its content"),
        "sha256": ("string", "SHA-256 of the file itself; differs from the key where there are external data"),
        "source": ("string", "where it was read from"),
        "bytes": ("int64", "size of the file and of its external data"),
        "name": ("string", "name of the main graph"),
        "producer": ("string", "the program that made it, with its version"),
        "ir_version": ("int64", "version of ONNX's IR"),
        "opset": ("int64", "version of ONNX's own operator set; null where the model names none"),
        "opsets": ("opsets", "all operator sets: domain and version"),
        "hierarchy_source": ("string", "where the modules come from: metadata, tags, exporter, names, …, none"),
        "operators": ("int64", "operators in all bodies"),
        "modules": ("int64", "modules below the model, of all bodies"),
        "parameters": ("int64", "parameters in all bodies"),
        "elements": ("int64", "elements of all parameters"),
        "parameter_bytes": ("int64", "bytes of all parameters"),
        "version": ("int64", "version of this schema"),
    },
    "modules": {
        "model": ("string", "key of the model"),
        "module": ("int32", "number, in preorder; 0 is the model"),
        "last": ("int32", "the highest number of a module in it: what is in it lies between `module` and `last`"),
        "parent": ("int32", "the module around it; null for the model"),
        "depth": ("int32", "how many modules are around it"),
        "path": ("string", "dotted path of attribute names; empty for the model"),
        "name": ("string", "last part of the path; for what stands for a whole body, the path of the body"),
        "class_name": ("string", "its class; empty if unknown; of a model without one, its name"),
        "tag": ("string", "path of classes, as traced; null where there is none"),
        "module_type": ("string", "its type, where the metadata give it"),
        "operators": ("int64", "operators of its body that are directly in it"),
        "body": ("string", "the body that it is in; empty for the main graph"),
    },
    "operators": {
        "model": ("string", "key of the model"),
        "operator": ("int32", "number, in the order of the file, through all bodies"),
        "body": ("string", "the list that it is in: empty for the main graph, else the path of a body or function"),
        "index": ("int32", "its place in that list"),
        "name": ("string", "its name; may be empty, may repeat"),
        "op_type": ("string", "its type: Conv"),
        "domain": ("string", "domain of its type; empty for ONNX's own"),
        "overload": ("string", "which function of several with one name"),
        "opset": ("int64", "version of that domain's operator set in the operator's body"),
        "module": ("int32", "the module that it is in"),
    },
    "attributes": {
        "model": ("string", "key of the model"),
        "operator": ("int32", "the operator"),
        "attribute": ("string", "its name"),
        "kind": ("string", "int, float, text, bytes, tensor, sparse, type, body, reference, list, or none"),
        "integer": ("int64", "the value of an int"),
        "number": ("double", "the value of a float, or of an int"),
        "text": ("string", "a text; of bytes, hexadecimal digits; of others, what describes them"),
        "integers": ("list<int64>", "the values of a list of ints"),
        "numbers": ("list<double>", "the values of a list of floats"),
        "texts": ("list<string>", "the items of a list of anything else"),
    },
    "tensors": {
        "model": ("string", "key of the model"),
        "tensor": ("int32", "number, in the order of the file, through all bodies"),
        "body": ("string", "the body that defines it"),
        "name": ("string", "its name, unique within its body"),
        "dtype": ("string", "element type: FLOAT; null where the model does not say it"),
        "shape": ("string", "its shape as text: [batch, 3, ?]; null where it is unknown"),
        "dims": ("list<int64>", "its shape as numbers; null for a dimension without one"),
        "producer": ("int32", "the operator that makes it; null for inputs, initializers, unknown names"),
        "output": ("int32", "which of that operator's outputs it is"),
        "is_input": ("bool", "whether it is an input of its body"),
        "is_output": ("bool", "whether it is an output of its body"),
        "parameter": ("int32", "the parameter that it is; null for others"),
    },
    "edges": {
        "model": ("string", "key of the model"),
        "source": ("int32", "the operator that makes the tensor; null for inputs, initializers, unknown names"),
        "target": ("int32", "the operator that takes it"),
        "tensor": ("int32", "the tensor"),
        "output": ("int32", "which output of the source"),
        "input": ("int32", "which input of the target"),
    },
    "parameters": {
        "model": ("string", "key of the model"),
        "parameter": ("int32", "number, in the order of the file, through all bodies"),
        "tensor": ("int32", "the tensor that operators take"),
        "name": ("string", "its name"),
        "kind": ("string", "initializer, sparse_initializer or constant"),
        "module": ("int32", "the module that owns it"),
        "dtype": ("string", "element type"),
        "shape": ("string", "its shape as text: [64, 3, 7, 7]"),
        "dims": ("list<int64>", "its shape as numbers"),
        "elements": ("int64", "number of elements"),
        "bytes": ("int64", "bytes of the elements"),
        "digest": ("string", "SHA-256 of the elements as raw_data has them; null where digests were not asked for"),
    },
}


@cache
def arrow_schema(table: str) -> pa.Schema:
    """The schema of a table, with the meaning of each column as its metadata."""
    import pyarrow as pa

    types = {
        "string": pa.string(),
        "bool": pa.bool_(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "double": pa.float64(),
        "list<int64>": pa.list_(pa.int64()),
        "list<double>": pa.list_(pa.float64()),
        "list<string>": pa.list_(pa.string()),
        "opsets": pa.list_(pa.struct([("domain", pa.string()), ("version", pa.int64())])),
    }
    fields = [
        pa.field(name, types[kind], metadata={"description": meaning})
        for name, (kind, meaning) in TABLES[table].items()
    ]
    return pa.schema(fields, metadata={"g2o_tables": str(VERSION)})
