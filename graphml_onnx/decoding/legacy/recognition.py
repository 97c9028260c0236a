"""Recognises GraphML of the earlier formats 1.1 to 1.3 by the names of its keys.

Their keys have ids such as d0, n0 and m0, which differ between the formats, so keys are matched by attr.name. This
format has kept most of the names. The earlier formats had neither ``kind`` nor ``node_id``.

Source: docs/validation.md, section "Earlier formats".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphml_onnx.documents.document import Document

OPERATOR_KEYS = frozenset(
    {"op_type", "name", "domain", "hierarchy_tag", "node_attributes", "onnx_attributes", "input_names", "output_names"}
)
MODULE_KEYS = frozenset({"class_name", "module_type", "execution_order", "traced_tag", "scope"})
TENSOR_KEYS = frozenset({"tensor_name", "tensor_type", "tensor_shape"})
GRAPH_KEYS = frozenset(
    {"format_version", "opset_imports", "parameter_strategy", "parameter_file", "parameter_checksum"}
    | {"graph_inputs", "graph_outputs", "value_info", "initializers_ref"}
)

_ENOUGH = 3  # names that only these formats have in common

_version = re.compile(r"1\.[1-3](\.\d+)?")


@dataclass(frozen=True, slots=True)
class Older:
    """A document of an earlier format.

    Attributes:
        version: the format that it names; None if it names none.
        values: the values of the graph itself, by attr.name.
    """

    version: str | None
    values: dict[str, str]

    @property
    def title(self) -> str:
        """How messages call the format."""
        return "an earlier format (1.1 to 1.3)" if self.version is None else f"format {self.version}"


def recognise(document: Document) -> Older | None:
    """The earlier format of a document, by its keys; None if it is not one."""
    keys = document.keys
    if keys.is_bare or keys.has("kind", "node") or not keys.has("op_type", "node"):
        return None
    names = {name for scope in ("node", "edge", "graph", "all") for name in keys.names.get(scope, ())}
    if len(names & (OPERATOR_KEYS | MODULE_KEYS | TENSOR_KEYS | GRAPH_KEYS)) < _ENOUGH:
        return None
    version = document.values.get("format_version", "").strip()
    return Older(version if _version.fullmatch(version) else None, document.values)
