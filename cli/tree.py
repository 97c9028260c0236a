"""Modules as an indented tree, one line each."""

from __future__ import annotations

from itertools import chain, repeat
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def module_names(modules: Iterable[tuple[str, str, int]], repeats: Iterable[Sequence[str]] = ()) -> list[str]:
    """Each module without the path of the one around it, and with its class where that says more.

    Args:
        modules: path, class and depth of each, in the order of the tree; depths count from the outermost, 0. The path
            of a body is ``OUTER/OPERATOR/ATTRIBUTE``.
        repeats: for each line, the paths of its modules; none for a single one.
    """
    names = []
    around: list[str] = []
    for (path, class_name, depth), same in zip(modules, chain(repeats, repeat(())), strict=False):
        del around[depth:]
        outer = around[-1] if around else ""
        name = path.removeprefix(f"{outer}.").removeprefix(f"{outer}/") if outer else path or class_name
        around.append(path)
        indented = "  " * depth + (name or "(model)")
        if len(same) > 1:
            last = same[-1].removeprefix(f"{outer}.")
            names.append(f"{indented} … {last} ({len(same)} {f'x {class_name}' if class_name else 'alike'})")
            continue
        tells_more = class_name not in ("", name, path.rpartition(".")[2])
        names.append(f"{indented} ({class_name})" if tells_more else indented)
    return names
