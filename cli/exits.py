"""Exit codes: the only mapping from the category of an error to the exit code of the process."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from graphml_onnx.errors import Category

if TYPE_CHECKING:
    from collections.abc import Mapping

DONE: Final = 0
INTERNAL: Final = 70
"""A bug: ``EX_SOFTWARE`` of ``sysexits.h``, which also defines 65 to 74."""
INTERRUPTED: Final = 130
TERMINATED: Final = 143

CODES: Final[Mapping[Category, int]] = MappingProxyType(
    {
        Category.DIFFERENCE: 1,
        Category.USAGE: 2,
        Category.BAD_DATA: 65,
        Category.NO_INPUT: 66,
        Category.CANNOT_CREATE: 73,
        Category.INPUT_OUTPUT: 74,
    }
)
