"""The imports between the packages of graphml_onnx, as the source says them."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2] / "graphml_onnx"
GROUND = ("errors", "results", "support")
"""What every package may import, and what is therefore in no diagram."""


def modules() -> dict[str, set[str]]:
    """The modules of graphml_onnx by their dotted names below it, each with those that it imports at run time."""
    names = {_name(path): path for path in ROOT.rglob("*.py") if "cli" not in path.relative_to(ROOT).parts}
    return {name: _imported(path, name, names) for name, path in names.items()}


def packages() -> set[tuple[str, str]]:
    """Which package imports which other, without `GROUND`; a module beside the packages counts as one."""
    arrows = set()
    for module, imported in modules().items():
        for other in imported:
            pair = (module.split(".")[0], other.split(".")[0])
            if pair[0] and pair[0] != pair[1] and not set(pair) & {*GROUND, ""}:
                arrows.add(pair)
    return arrows


def circles(graph: dict[str, set[str]]) -> list[set[str]]:
    """The strongly connected parts of more than one node."""
    import networkx as nx

    pairs = [(node, other) for node, others in graph.items() for other in others]
    return [part for part in nx.strongly_connected_components(nx.DiGraph(pairs)) if len(part) > 1]


def _name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imported(path: Path, name: str, names: dict[str, Path]) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    for_types = {
        id(node)
        for branch in ast.walk(tree)
        if isinstance(branch, ast.If) and "TYPE_CHECKING" in ast.unparse(branch.test)
        for node in ast.walk(branch)
    }
    found = set()
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("graphml_onnx.") for alias in node.names if "graphml_onnx." in alias.name}
        elif isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").startswith("graphml_onnx")):
            base = (node.module or "").removeprefix("graphml_onnx").strip(".")
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join(filter(None, [*above, node.module or ""]))
            for alias in node.names:
                deeper = f"{base}.{alias.name}".strip(".")
                found.add(deeper if deeper in names else base)
    return (found & set(names)) - {name}
