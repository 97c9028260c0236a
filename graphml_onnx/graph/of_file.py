"""What pickling and copying do to objects that read from the open files of a model."""

from __future__ import annotations

from typing import Never, Self, SupportsIndex


class OfFile:
    """Base of objects that read from the open files of a model, and never change: each is its own copy."""

    __slots__ = ()

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, object], /) -> Self:
        return self

    def __reduce_ex__(self, protocol: SupportsIndex, /) -> Never:
        """Refuses, with a TypeError as for other objects of open files."""
        raise TypeError(
            f"cannot pickle a {type(self).__name__}, which reads from an open file: "
            "give the other process the path of the model, and open it there"
        )
