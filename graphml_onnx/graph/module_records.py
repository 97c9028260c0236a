"""Collects the modules from the nodes of a GraphML file while they are decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from graphml_onnx.graphml.elements import Batch, NodeRecord
from graphml_onnx.hierarchy import Hierarchy, Module, Placed, SourceName
from graphml_onnx.support.strictjson import JsonError
from graphml_onnx.support.text import unescape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from graphml_onnx.codec.decoder import Parents

HIERARCHY_KEYS = frozenset(
    {"class_name", "module_type", "scope", "traced_tag", "execution_order", "hierarchy_source", "module_source"}
)
"""Derived keys, which decoding ignores."""

_NOWHERE = -1


class _Record(NamedTuple):
    parent: str
    line: int
    texts: Mapping[str, str]


class ModuleRecords:
    """Collects the modules of a GraphML file."""

    def __init__(self) -> None:
        self._forget()

    def _forget(self) -> None:
        self._modules: dict[str, _Record] = {}
        self._model = ""
        self._source: str = "none"

    def without(self, records: Iterable[Batch]) -> Iterator[Batch]:
        """The same nodes and edges without the keys of `HIERARCHY_KEYS`, which it records."""
        self._forget()
        for record in records:
            if isinstance(record, NodeRecord):
                self._take(record)
                for key in HIERARCHY_KEYS & record.data.keys():
                    del record.data[key]
            yield record

    def _take(self, record: NodeRecord) -> None:
        data = record.data
        kind, node_id, parent = data.get("kind"), data.get("node_id", ""), data.get("parent", "")
        if kind == "module":
            texts = {key: data[key] for key in HIERARCHY_KEYS & data.keys()}
            self._modules[node_id] = _Record(parent, record.line, texts)
        elif kind == "model":
            self._model = node_id
            self._source = data.get("hierarchy_source", "none")

    def hierarchy(self, main: Parents, functions: Sequence[Parents]) -> Hierarchy:
        """The modules; called after all nodes.

        Args:
            main: the compounds of the operators of the main graph.
            functions: those of each function.
        """
        children: dict[str, list[tuple[int, str]]] = {}
        for node_id, record in self._modules.items():
            children.setdefault(record.parent, []).append((record.line, node_id))
        ordered = {outer: [node_id for _, node_id in sorted(found)] for outer, found in children.items()}
        placed = [self._placed(parents, ordered, "") for parents in (main, *functions)]
        return Hierarchy(cast("SourceName", self._source), placed[0], tuple(placed[1:]), (), 100.0, {})

    def _placed(self, parents: Parents, children: Mapping[str, Sequence[str]], within: str) -> Placed:
        places: dict[str, int] = {parents.node_id: _NOWHERE}
        modules: list[Module] = []
        todo = [(parents.node_id, within)]
        while todo:
            outer, path = todo.pop()
            if outer in self._modules:
                module = self._module(self._modules[outer], places, path)
                places[outer] = len(modules)
                modules.append(module)
                path = module.scope
            todo.extend((node_id, path) for node_id in reversed(children.get(outer, ())))
        placement = [places.get(compound, _NOWHERE) for compound in parents.compounds]
        bodies = {
            position: tuple(
                self._placed(body, children, within if (place := placement[position]) < 0 else modules[place].scope)
                for body in inner
            )
            for position, inner in parents.bodies.items()
        }
        return Placed(tuple(modules), placement, [], [], {}, bodies)

    def _module(self, record: _Record, places: Mapping[str, int], outer: str) -> Module:
        texts = {key: _text(text) for key, text in record.texts.items()}
        scope = texts.get("scope", outer)
        class_name = texts.get("class_name", "")
        place = places[record.parent]
        return Module(
            parent=None if place == _NOWHERE else place,
            class_name=class_name,
            tag=texts.get("traced_tag", ""),
            scope=scope,
            name=scope.rpartition(".")[2] or class_name,
            execution_order=_number(texts["execution_order"]) if "execution_order" in texts else None,
            module_type=texts.get("module_type"),
            told_by=cast("SourceName", texts.get("module_source", self._source)),
        )


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdigit() else 0


def _text(text: str) -> str:
    try:
        return unescape(text)
    except JsonError:  # derived, so that another tool may have written it
        return text
