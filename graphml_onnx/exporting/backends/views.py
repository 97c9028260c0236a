"""Watches for changes through views, which TorchScript's traces leave out.

``y.view(-1).mul_(2)`` changes ``y``, and the exported model goes on with the earlier one. Changes through indices
(``y[0] = 1``) are exported. A change does no harm if only the view is used afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from weakref import WeakValueDictionary

import torch
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_INDEXING: Final = frozenset({"__getitem__", "select"})
_CHANGES: Final = frozenset(
    {"__setitem__", "__iadd__", "__isub__", "__imul__", "__idiv__", "__itruediv__", "__ipow__", "__iand__", "__ior__"}
)


class ViewChanges(TorchFunctionMode):
    """While it is open, watches the calls of PyTorch's functions.

    Attributes:
        left_out: the functions that changed a tensor through a view, and whose change a trace leaves out.
    """

    def __init__(self) -> None:
        super().__init__()
        self.left_out: dict[str, None] = {}
        self._indexed: WeakValueDictionary[int, torch.Tensor] = WeakValueDictionary()
        self._changed: dict[int, tuple[torch.Tensor, str]] = {}

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: Sequence[object] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        """Calls the function, and remembers what it changes."""
        named = kwargs or {}
        if self._changed:
            self.look_for((args, dict(named)))
        result = func(*args, **named)
        name = getattr(func, "__name__", "")
        tensor = args[0] if args else None
        if isinstance(tensor, torch.Tensor):
            if name in _INDEXING and isinstance(result, torch.Tensor) and self._is_kept(tensor):
                self._indexed[id(result)] = result
            elif _is_change(name, named) and not self._is_kept(tensor) and tensor._base is not None:
                self._changed[id(tensor._base)] = (tensor._base, name)
        return result

    def look_for(self, values: object) -> None:
        """Looks whether a tensor that was changed through a view is among the arguments of a function, or a result."""
        for value in _pytree.tree_leaves(values):
            if id(value) in self._changed:
                self.left_out[self._changed[id(value)][1]] = None

    def _is_kept(self, tensor: torch.Tensor) -> bool:
        """Whether a trace keeps changes of a tensor: it is no view, or one by indices of such a tensor."""
        return not tensor._is_view() or id(tensor) in self._indexed


def _is_change(name: str, named: Mapping[str, object]) -> bool:
    return name in _CHANGES or (name.endswith("_") and not name.endswith("__")) or named.get("inplace") is True
