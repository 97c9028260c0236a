"""Packages that only an extra of this distribution brings: the error that says what to install."""

from __future__ import annotations

from importlib.util import find_spec

from graphml_onnx.errors import UsageError


def require(package: str, extra: str) -> None:
    """Makes sure that a package of an extra is there, without importing it.

    Args:
        package: name of the package, as it is imported.
        extra: name of the extra of this distribution that brings it.

    Raises:
        UsageError: it is not installed.
    """
    try:
        missing = find_spec(package) is None
    except ValueError:  # a module that was put into sys.modules by hand, without a specification
        missing = False
    if missing:
        raise UsageError(f"export needs {package}", remedy=f"pip install 'graphml-onnx[{extra}]'")
