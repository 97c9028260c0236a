"""Modules as an indented tree, one line each."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


def module_names(modules: Iterable[tuple[str, str, int]]) -> list[str]:
    """Each module without the path of the one around it, and with its class where that says more.

    Args:
        modules: path, class and depth of each, in the order of the tree; depths count from the outermost, 0.
    """
    names = []
    around: list[str] = []
    for path, class_name, depth in modules:
        del around[depth:]
        outer = around[-1] if around else ""
        name = path.removeprefix(f"{outer}.") if outer else path or class_name
        around.append(path)
        indented = "  " * depth + (name or "(model)")
        tells_more = class_name not in ("", name, path.rpartition(".")[2])
        names.append(f"{indented} ({class_name})" if tells_more else indented)
    return names
