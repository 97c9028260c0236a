"""Reads an HTP metadata file (docs/htp.md): strict JSON, and the sections about the hierarchy."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from graphml_onnx.errors import MetadataError
from graphml_onnx.hierarchy.members import object_at, text_at
from graphml_onnx.hierarchy.modules import module_tree
from graphml_onnx.hierarchy.schema import check
from graphml_onnx.support.notices import Notice
from graphml_onnx.support.strictjson import Json, JsonError, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphml_onnx.hierarchy.tree import Module

_BYTE_ORDER_MARK = "\ufeff"
_REMEDY = "give the HTP metadata that the exporter wrote, or export it again"


class HtpMetadata(NamedTuple):
    """What an HTP metadata file says about the hierarchy of its model.

    Attributes:
        text: the exact text of the file, a byte order mark included; encoded as UTF-8 it is the file.
        file: the file, if the caller named it.
        model: name or class of the model that it describes, if given.
        modules: its modules; parents before their children; none if the file has no such section.
        folded: modules below the deepest level that a tree may have; ``parent`` of each is its ancestor there.
        nodes: names of operators with their tags.
        findings: where the other sections deviate from the schema, one line.
    """

    text: str
    file: str | None
    model: str | None
    modules: tuple[Module, ...]
    folded: tuple[Module, ...]
    nodes: Mapping[str, str]
    findings: tuple[Notice, ...]


def read_metadata(data: bytes, file: str | os.PathLike[str] | None) -> HtpMetadata:
    """Reads HTP metadata of either dialect and of either form of ``modules``.

    The section ``nodes`` is required. ``modules``, which some exporters leave out, must match the definitions
    ``hierarchy`` and ``module_facts`` of the schema. All other sections are optional; if they deviate from the
    schema, a finding says so.

    Args:
        data: content of the file: UTF-8, with or without a byte order mark.
        file: where it comes from, for messages.

    Raises:
        MetadataError: it is not UTF-8, not strict JSON (the message gives the line or the key), not an object,
            has no ``nodes``, or a value there has the wrong type (the place is its path of keys).
    """
    text, document = _parsed(data, file)
    try:
        return _metadata(text, document, None if file is None else os.fspath(file))
    except MetadataError as error:
        raise error.at(file=file, remedy=_REMEDY) from None


def check_metadata(data: bytes, file: str | os.PathLike[str] | None) -> None:
    """Checks an HTP metadata file against the whole schema, of which `read_metadata` needs only a part.

    Args:
        data: content of the file.
        file: where it comes from, for messages.

    Raises:
        MetadataError: as `read_metadata`, or anything in it violates the schema.
    """
    _, document = _parsed(data, file)
    try:
        check(document)
    except MetadataError as error:
        raise error.at(file=file, remedy=_REMEDY) from None


def _parsed(data: bytes, file: str | os.PathLike[str] | None) -> tuple[str, dict[str, Json]]:
    """The text of a file, and the JSON object in it."""
    try:
        text = data.decode("utf-8")
        document = parse(text.removeprefix(_BYTE_ORDER_MARK))
    except UnicodeDecodeError as error:
        raise MetadataError("is not UTF-8 text", file=file, place=f"byte {error.start}", remedy=_REMEDY) from None
    except JsonError as error:
        raise MetadataError(error.message, file=file, place=error.place, remedy=_REMEDY) from None
    if not isinstance(document, dict):
        raise MetadataError("is not a JSON object", file=file, remedy=_REMEDY)
    return text, document


def _metadata(text: str, document: dict[str, Json], file: str | None) -> HtpMetadata:
    check(document, "hierarchy")
    about = object_at(document, "model")
    tree = module_tree(object_at(document, "modules"), (None, "modules"), text_at(about, "class_name"))
    nodes = object_at(document, "nodes")
    return HtpMetadata(
        text=text,
        file=file,
        model=text_at(about, "name_or_path") or text_at(about, "class_name"),
        modules=tree.modules,
        folded=tree.folded,
        nodes={name: tag for name, tag in nodes.items() if isinstance(tag, str)},
        findings=_deviations(document),
    )


def _deviations(document: dict[str, Json]) -> tuple[Notice, ...]:
    try:
        check(document, "sections")
    except MetadataError as error:
        return (Notice("metadata-schema", f"the metadata deviates from its schema: {error}"),)
    return ()
