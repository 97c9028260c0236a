"""Batches: processes many models from any file system to any other, with a row in a manifest for each."""

from graphml_onnx.zoo.api import BatchReport, batch
from graphml_onnx.zoo.rows import BatchRow

__all__ = ["BatchReport", "BatchRow", "batch"]
