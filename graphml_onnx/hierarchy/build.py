"""Builds the hierarchy of a model from the best source that there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphml_onnx.hierarchy.exporter import ExporterSource
from graphml_onnx.hierarchy.growth import from_source
from graphml_onnx.hierarchy.names import NameSource
from graphml_onnx.hierarchy.nodes import from_metadata
from graphml_onnx.hierarchy.place import Record
from graphml_onnx.hierarchy.tags import TagSource
from graphml_onnx.hierarchy.tree import NOWHERE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from graphml_onnx.hierarchy.metadata import HtpMetadata
    from graphml_onnx.hierarchy.tree import Hierarchy, Operator


def build_hierarchy(operators: Iterable[Operator], metadata: HtpMetadata | None) -> Hierarchy:
    """Builds the module tree of a model and places each operator of the main graph in it.

    The source is the first of these that the model has: HTP metadata; tags of operators; what PyTorch's exporter
    writes into their metadata_props; scopes in their names. A model that has none is flat. An operator of which the
    source tells nothing is placed by what else it tells of itself, or in the root module; the findings say how many.

    Args:
        operators: the operators of the main graph, in their order.
        metadata: the model's HTP metadata, if there is any.
    """
    operators = tuple(operators)
    if metadata is not None:
        return from_metadata(operators, metadata)
    return (
        from_source(operators, TagSource(operators))
        or from_source(operators, ExporterSource())
        or from_source(operators, NameSource())
        or _flat(operators)
    )


def _flat(operators: Sequence[Operator]) -> Hierarchy:
    record = Record(len(operators))
    for position in range(len(operators)):
        record.put(position, (NOWHERE, "root"), exact=False)
    return record.hierarchy("flat", (), ())
