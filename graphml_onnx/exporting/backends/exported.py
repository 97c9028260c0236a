"""The results of an exporter besides the ONNX file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import onnx

    from graphml_onnx.exporting.inputs import ExampleInputs
    from graphml_onnx.exporting.module_tree import Level
    from graphml_onnx.exporting.options import ExporterSettings
    from graphml_onnx.exporting.placement import Finder, Weights
    from graphml_onnx.exporting.sources import Exportable
    from graphml_onnx.hierarchy.tree import Module
    from graphml_onnx.support.notices import Notice


@dataclass(frozen=True, slots=True)
class Exported:
    """The results of an exporter besides the file.

    Attributes:
        levels: the modules that ran, in the order of their first run.
        registered: all modules, including those that never ran; none for a program of `torch.export`.
        execution_steps: how often a hook was called; 0 if no module ran, as for a program of `torch.export`.
        weights: the modules that own the weights.
        output_names: names of the outputs, from what the model returned; None if unknown.
        finder: creates the finder of modules for the operators of the file, given the module tree.
        findings: what the exporter left out.
    """

    levels: tuple[Level, ...]
    registered: tuple[Level, ...]
    execution_steps: int
    weights: Weights
    output_names: tuple[str | None, ...]
    finder: Callable[[Sequence[Module], Sequence[onnx.NodeProto]], Finder]
    findings: tuple[Notice, ...] = ()


class Exporter(Protocol):
    """One of PyTorch's exporters."""

    def __call__(self, model: Exportable, inputs: ExampleInputs, settings: ExporterSettings, path: Path) -> Exported:
        """Writes a model as an ONNX file; data that do not fit into it go into the same folder.

        Args:
            model: a module in evaluation mode, or a program.
            inputs: the inputs of the module; a program has its own.
            settings: how to call the exporter.
            path: the ONNX file.

        Raises:
            UsageError: the settings do not fit the model.
            Exception: any exception of PyTorch.
        """
