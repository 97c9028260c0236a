"""What there is to tell of a PyTorch model, for the record of its export."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from graphml_onnx.exporting.modules import class_name_of
from graphml_onnx.exporting.record import ModelRecord

if TYPE_CHECKING:
    from graphml_onnx.exporting.exported import Exported
    from graphml_onnx.exporting.source import Exportable, LoadedModel


def model_name(model: Exportable) -> str:
    """What a model in memory is called: the class of its root module."""
    return type(model).__name__


def model_record(loaded: LoadedModel, exported: Exported) -> ModelRecord:
    """Describes a model.

    Args:
        loaded: the model.
        exported: what ran of it; all that a program of `torch.export` tells of its modules.
    """
    model = loaded.model
    if isinstance(model, torch.nn.Module):
        config = getattr(model, "config", None)
        model_type = getattr(config, "model_type", None)
        return ModelRecord(
            source=loaded.name,
            class_name=type(model).__name__,
            framework=type(model).__module__.partition(".")[0],
            torch_modules=sum(1 for _ in model.modules()),
            parameters=sum(parameter.numel() for parameter in model.parameters()),
            model_type=model_type if isinstance(model_type, str) and model_type else None,
            task=loaded.task,
        )
    root = next((level.class_path for level in exported.levels if not level.scope), "Module")
    return ModelRecord(
        source=loaded.name,
        class_name=class_name_of(root),
        framework=root.partition(".")[0],
        torch_modules=len({level.scope for level in exported.levels}),
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )
