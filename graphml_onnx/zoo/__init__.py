"""Many models at once, from wherever they lie to wherever they go, with a row in a manifest for each."""

from graphml_onnx.zoo.api import BatchReport, batch
from graphml_onnx.zoo.rows import BatchRow

__all__ = ["BatchReport", "BatchRow", "batch"]
