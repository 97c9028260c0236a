"""Reads an HTP metadata file: strict JSON, and of its sections those that tell of the hierarchy."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from graphml_onnx.errors import MetadataError
from graphml_onnx.hierarchy.keys import KeyPath, text_map
from graphml_onnx.hierarchy.modules import module_tree
from graphml_onnx.strictjson import Json, JsonError, parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphml_onnx.hierarchy.tree import Module

_BYTE_ORDER_MARK = "\ufeff"


@dataclass(frozen=True, slots=True)
class HtpMetadata:
    """What an HTP metadata file says about the hierarchy of its model.

    Attributes:
        text: the exact text of the file, a byte order mark included; encoded as UTF-8 it is the file.
        file: the file, if the caller named it.
        model: name or class of the model that it describes, if it tells.
        modules: its modules; parents before their children.
        folded: modules below the deepest level that a tree may have; ``parent`` of each is its ancestor there.
        nodes: names of operators with their tags.
    """

    text: str
    file: str | None
    model: str | None
    modules: tuple[Module, ...]
    folded: tuple[Module, ...]
    nodes: Mapping[str, str]


def read_metadata(data: bytes, file: str | os.PathLike[str] | None) -> HtpMetadata:
    """Reads HTP metadata of either dialect and of either form of ``modules``.

    The sections ``modules`` and ``nodes`` are needed; all others may be missing, and unknown ones are no concern.

    Args:
        data: content of the file: UTF-8, with or without a byte order mark.
        file: where it comes from, for messages.

    Raises:
        MetadataError: it is not UTF-8, not strict JSON (the message tells the line or the key), not an object,
            has no ``modules`` or ``nodes``, or a value there has the wrong type (the place is its path of keys).
    """
    try:
        text = data.decode("utf-8")
        return _metadata(text, None if file is None else os.fspath(file))
    except UnicodeDecodeError as error:
        raise MetadataError(
            "is not UTF-8 text", file=file, place=f"byte {error.start}", remedy="give the JSON file of the exporter"
        ) from None
    except JsonError as error:
        raise MetadataError(str(error), file=file, remedy="export the metadata again") from None
    except MetadataError as error:
        raise error.at(file=file, remedy="export the metadata again") from None


def _metadata(text: str, file: str | None) -> HtpMetadata:
    value = parse(text.removeprefix(_BYTE_ORDER_MARK))
    if not isinstance(value, dict):
        raise MetadataError("is not HTP metadata: not a JSON object", remedy="give the JSON file of the exporter")
    for key in ("modules", "nodes"):
        if key not in value:
            raise MetadataError(f"is not HTP metadata: it has no {key!r}", remedy="give the JSON file of the exporter")
    about = value.get("model")
    model = about if isinstance(about, dict) else {}
    tree = module_tree(value["modules"], _top("modules"), _known_text(model, "class_name"))
    return HtpMetadata(
        text=text,
        file=file,
        model=_known_text(model, "name_or_path") or _known_text(model, "class_name"),
        modules=tree.modules,
        folded=tree.folded,
        nodes=text_map(value["nodes"], _top("nodes")),
    )


def _top(key: str) -> KeyPath:
    return (None, key)


def _known_text(members: dict[str, Json], key: str) -> str | None:
    """A text that nothing depends on: of another type it says nothing."""
    value = members.get(key)
    return value if isinstance(value, str) and value else None
