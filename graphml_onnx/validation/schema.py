"""Compares a document with the schema of the format; needs the package xmlschema.

libxml2 cannot replace it: it resolves references between nested graphs in the wrong scope.
"""

from __future__ import annotations

import io
from importlib.resources import as_file, files
from itertools import islice
from typing import TYPE_CHECKING

from graphml_onnx.errors import UsageError
from graphml_onnx.validation.findings import MAX_LISTED

if TYPE_CHECKING:
    from pathlib import Path

    from graphml_onnx.onnxfile.source import Source
    from graphml_onnx.validation.findings import Findings

_SCHEMA = "g2o-graphml.xsd"
_MAX_SIZE = 64 << 20  # bytes: the package needs many times the size of the document in memory


def check_schema(source: Source, path: Path, findings: Findings) -> None:
    """Compares a document with the schema. The document must be well-formed, without DOCTYPE.

    Args:
        source: the document.
        path: its name.
        findings: collects the findings.

    Raises:
        UsageError: xmlschema is not installed, or the document is too large for it.
    """
    try:
        import xmlschema
    except ImportError:
        remedy = "pip install xmlschema"
        raise UsageError("checking the schema needs the package xmlschema", remedy=remedy) from None
    if source.size > _MAX_SIZE:
        remedy = "validate without the schema"
        raise UsageError(f"is larger than {_MAX_SIZE:,} bytes, the limit for the schema", file=path, remedy=remedy)
    with as_file(files("graphml_onnx.validation") / _SCHEMA) as file:
        schema = xmlschema.XMLSchema(str(file), allow="local")
    document = io.BytesIO(source.read(0, source.size))
    try:
        resource = xmlschema.XMLResource(document, defuse="always", allow="local")
        for error in islice(schema.iter_errors(resource, use_location_hints=False), MAX_LISTED):
            findings.add("schema", None, f"{error.path}: {' '.join((error.reason or error.message).split())}")
    except (xmlschema.XMLSchemaException, RecursionError) as error:
        findings.add("schema", None, f"cannot be compared with the schema: {' '.join(str(error).split())}")
