"""Folders on this machine and in the file systems of fsspec, with one set of operations and of errors."""

from graphml_onnx.places.place import Place, is_url

__all__ = ["Place", "is_url"]
