"""The store of a model's payloads, as the model's node describes it.

Source: docs/format.md, section "Payloads".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphml_onnx.errors import PayloadError
from graphml_onnx.parameters.store import STRATEGIES, StoreInfo, check_name
from graphml_onnx.support.strictjson import JsonError
from graphml_onnx.support.text import unescape

if TYPE_CHECKING:
    from collections.abc import Mapping

_HEX = frozenset("0123456789abcdef")
_KEYS = ("parameter_strategy", "parameter_file", "parameter_size", "parameter_checksum")
_SHOWN = 80  # characters of a wrong value


def read_store_info(texts: Mapping[str, str]) -> tuple[StoreInfo, list[str]]:
    """Reads the store from the texts of the model's node.

    Returns:
        The store, and the errors in the texts; with errors, the store must not be used.
    """
    problems: list[str] = []
    values: dict[str, str] = {}
    for key in filter(texts.__contains__, _KEYS):
        try:
            values[key] = unescape(texts[key])
        except JsonError as error:
            problems.append(f"{key}: {error}")
    name = values.get("parameter_strategy") or "sidecar"
    strategy = next((known for known in STRATEGIES if known == name), None)
    if strategy is None:
        problems.append(f"parameter_strategy: {name[:_SHOWN]!r} is not one of {', '.join(STRATEGIES)}")
    size = values.get("parameter_size") or "0"
    if not size.isascii() or not size.isdigit() or len(size) > 18:
        problems.append(f"parameter_size: {size[:_SHOWN]!r} is not a number of bytes")
    file, checksum = values.get("parameter_file"), values.get("parameter_checksum") or ""
    if file is not None:
        try:
            check_name(file)
        except PayloadError as error:
            problems.append(error.message)
        if strategy == "sidecar" and (len(checksum) != 64 or not _HEX.issuperset(checksum)):
            problems.append("parameter_checksum: is not a SHA-256 in lower-case hexadecimal digits")
    if problems:
        return StoreInfo("sidecar"), problems
    return StoreInfo(strategy or "sidecar", file, int(size), checksum), []
