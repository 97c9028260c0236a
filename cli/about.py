"""``g2o --version``: the installed versions, for bug reports."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphml_onnx import __version__

if TYPE_CHECKING:
    from graphml_onnx.support.strictjson import Json

_PACKAGES = (
    "onnx", "protobuf", "numpy", "ml_dtypes", "pybase64", "orjson", "networkx", "typer", "rich", "fastjsonschema",
    "onnxruntime", "torch", "onnxscript", "transformers", "xmlschema", "pyarrow", "fsspec", "distributed", "ladybug",
)  # fmt: skip


def document() -> dict[str, Json]:
    """Versions of g2o, of Python, and of the packages that it uses; None for those that are not installed."""
    import platform

    return {
        "g2o": __version__,
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in _PACKAGES},
    }


def _version(package: str) -> str | None:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(package)
    except PackageNotFoundError:
        return None
