"""The error for a missing optional package, with the command to install it."""

from __future__ import annotations

from importlib.util import find_spec

from graphml_onnx.errors import UsageError


def require(package: str, purpose: str = "export") -> None:
    """Checks that an optional package is installed, without importing it.

    Args:
        package: name of the package, as it is imported.
        purpose: the feature that needs it.

    Raises:
        UsageError: it is not installed.
    """
    try:
        missing = find_spec(package) is None
    except ValueError:  # a module that was put into sys.modules by hand, without a specification
        missing = False
    if missing:
        raise UsageError(f"{purpose} needs {package}", remedy=f"pip install {package}")
