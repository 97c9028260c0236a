"""Collects the modules from the nodes of a GraphML file while they are decoded."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from graphml_onnx.graphml.elements import Batch, NodeRecord
from graphml_onnx.graphml.text import unescape
from graphml_onnx.hierarchy import Hierarchy, Module, Placed, SourceName
from graphml_onnx.support.strictjson import JsonError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

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

    @property
    def count(self) -> int:
        """How many modules the file has, those of bodies and functions included."""
        return len(self._modules)

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

    def hierarchy(self, parents: Sequence[str]) -> Hierarchy:
        """The modules; called after all nodes.

        Args:
            parents: node_id of the compound of each operator of the main graph.
        """
        children: dict[str, list[tuple[int, str]]] = {}
        for node_id, record in self._modules.items():
            children.setdefault(record.parent, []).append((record.line, node_id))
        places: dict[str, int] = {self._model: _NOWHERE}
        modules: list[Module] = []
        todo = [(self._model, "")]
        while todo:
            outer, path = todo.pop()
            if outer != self._model:
                module = self._module(self._modules[outer], places, path)
                places[outer] = len(modules)
                modules.append(module)
                path = module.scope
            todo.extend((node_id, path) for _, node_id in sorted(children.get(outer, ()), reverse=True))
        placement = [places.get(parent, _NOWHERE) for parent in parents]
        main = Placed(tuple(modules), placement, [], [], {}, {})
        return Hierarchy(cast("SourceName", self._source), main, (), (), 100.0, {})

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
