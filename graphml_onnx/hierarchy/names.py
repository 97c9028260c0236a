"""The module tree as the names of the operators tell it: ``/encoder/layer.0/attention/self/query/MatMul``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphml_onnx.hierarchy.paths import NameStep, around, joined, name_steps
from graphml_onnx.hierarchy.source import Description, Source

if TYPE_CHECKING:
    from graphml_onnx.hierarchy.tree import Module, Operator


class NameSource(Source[str, NameStep]):
    """Reads names that contain a slash; a name tells no class, so its segment stands for that."""

    name = "names"
    rule = "name"
    has_root = False
    lacking = "operators without a scope in their name, placed directly in the model"

    def key_of(self, operator: Operator) -> str | None:
        """Its name without the last segment; of the names of fused TensorFlow Lite operators, the first."""
        return around(operator.name.partition(";")[0])

    def steps_of(self, key: str) -> list[NameStep]:
        """The modules in the name."""
        return name_steps(key)

    def tag_of(self, operator: Operator) -> None:
        """Names are no tags."""

    def describe(self, step: NameStep, outer: Module | None) -> Description:
        """Takes the segment for class and tag."""
        return Description(step.segment, step.segment, joined(outer.scope if outer else "", ".".join(step.parts)))
