"""What either exporter hands over beside the ONNX file."""

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


@dataclass(frozen=True, slots=True)
class Exported:
    """The outcome of an exporter, beside the file.

    Attributes:
        levels: the modules that ran, in the order in which they first did.
        registered: all modules, also those that never ran; none for a program of `torch.export`.
        execution_steps: how often a hook was called; 0 where no module ran, as for a program of `torch.export`.
        weights: which modules own the weights.
        output_names: what the outputs are called, by what the model returned; None where nothing tells.
        finder: makes the finder of modules for the operators of the file, given the module tree.
    """

    levels: tuple[Level, ...]
    registered: tuple[Level, ...]
    execution_steps: int
    weights: Weights
    output_names: tuple[str | None, ...]
    finder: Callable[[Sequence[Module], Sequence[onnx.NodeProto]], Finder]


class Exporter(Protocol):
    """One of PyTorch's exporters."""

    def __call__(self, model: Exportable, inputs: ExampleInputs, settings: ExporterSettings, path: Path) -> Exported:
        """Writes a model as an ONNX file; data that do not fit into it go beside it, in the same folder.

        Args:
            model: a module in evaluation mode, or a program.
            inputs: what the module is called with; a program has its own.
            settings: how to call the exporter.
            path: the ONNX file.

        Raises:
            UsageError: the settings do not fit the model.
            Exception: whatever PyTorch raises.
        """
