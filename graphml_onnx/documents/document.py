"""Checks a document as XML and as GraphML: elements, attributes and keys; not what the values say.

It goes on after most faults, and notes the ranges of faulty elements, so that the reader, which refuses them, can be
given the document without them (`graphml_onnx.validation.repair`).

Source: the GraphML 1.1 schema; docs/format.md, section "Documents".
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, Never
from xml.parsers import expat

from graphml_onnx.documents.content_model import CHILDREN, ELEMENTS, NOT_SUPPORTED, OPAQUE, REQUIRED, local
from graphml_onnx.documents.declarations import Declarations
from graphml_onnx.graphml.xml import MAX_DEPTH, MAX_MARKUP

if TYPE_CHECKING:
    from graphml_onnx.documents.declarations import Report
    from graphml_onnx.onnxfile.source import Source

_CHUNK = 1 << 18
_MAX_VALUES = 1 << 16  # characters of values of the graph
_MAX_FAULTY = 100_000  # faulty elements; stop after this many

NO_NODE = -1


class Document:
    """What is known of a document when it was checked.

    Attributes:
        keys: its keys.
        faulty: ranges of bytes of elements that a reader refuses, in the order of the document.
        is_readable: whether a reader can go on without them.
        order: for each node, in the order in which nodes end, its number in the order in which they start.
        around: for each node, in the same order, the number of the node around it, or `NO_NODE`.
        groups: numbers of the nodes that hold a graph, be it empty, in the order in which they start.
        values: short values of the graph itself, by attr.name: no part of this format, but of earlier ones.
    """

    def __init__(self, keys: Declarations) -> None:
        self.keys = keys
        self.faulty: list[tuple[int, int]] = []
        self.is_readable = True
        self.order = array("i")
        self.around = array("i")
        self.groups: set[int] = set()
        self.values: dict[str, str] = {}


class _FatalError(Exception):
    """There is no going on."""


def check_document(source: Source, report: Report) -> Document:
    """Checks a document from start to end, or to the first fault after which there is no going on.

    Args:
        source: the document.
        report: takes what is found: a code of `graphml_onnx.validation.codes`, the line, and a message.
    """
    checker = _Checker(report)
    try:
        for start in range(0, source.size, _CHUNK):
            checker.feed(source.read(start, min(_CHUNK, source.size - start)))
        checker.feed(b"")
    except _FatalError:
        checker.document.is_readable = False
    else:
        checker.document.keys.report()
    return checker.document


class _Element:
    """An element that is open: its kind (None outside GraphML), where it starts, and whether a reader refuses it."""

    __slots__ = ("is_faulty", "kind", "start", "value")

    def __init__(self, kind: str | None, start: int) -> None:
        self.kind = kind
        self.start = start
        self.is_faulty = False
        self.value: str | None = None  # the key of the format whose value it is


class _Owner:
    """A node or edge that is open."""

    __slots__ = ("kind", "number", "values")

    def __init__(self, kind: str, number: int) -> None:
        self.kind = kind
        self.number = number
        self.values: set[str] = set()


class _Checker:
    def __init__(self, report: Report) -> None:
        self._report = report
        self._lacks_edgedefault = False
        self.document = Document(Declarations(report))
        self._keys = self.document.keys
        self._stack: list[_Element] = []
        self._owners: list[_Owner] = []
        self._is_in_value = False  # whether the innermost element of the stack is one
        self._within = 0  # elements that are open in this value
        self._graph_value = ""  # attr.name of the last value of the graph
        self._nodes = 0
        self._fed = 0
        self._ended: _Element | None = None  # a faulty element whose end tag is being read
        self._parser = parser = expat.ParserCreate("utf-8", " ")
        parser.XmlDeclHandler = self._on_declaration
        parser.StartDoctypeDeclHandler = self._on_doctype
        parser.StartElementHandler = self._on_start
        parser.EndElementHandler = self._on_end

    def feed(self, chunk: bytes) -> None:
        if self._fed == 0 and (b"\0" in chunk[:4] or chunk[:2] in (b"\xff\xfe", b"\xfe\xff")):
            self._stop("encoding", "is in another encoding than UTF-8")
        try:
            self._parser.Parse(chunk, not chunk)
        except expat.ExpatError as error:
            reason = expat.ErrorString(error.code) or "syntax error"
            self._report("not-well-formed", error.lineno, f"not well-formed XML: {reason}")
            raise _FatalError from None
        self._fed += len(chunk)
        if self._fed - self._parser.CurrentByteIndex > MAX_MARKUP:
            self._stop("limit", f"a tag, comment or processing instruction is longer than {MAX_MARKUP:,} bytes")

    def _add(self, code: str, message: str) -> None:
        self._report(code, self._parser.CurrentLineNumber, message)

    def _stop(self, code: str, message: str) -> Never:
        self._add(code, message)
        raise _FatalError

    def _on_declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding is not None and encoding.lower() not in ("utf-8", "utf8", "us-ascii", "ascii"):
            self._stop("encoding", f"declares the encoding {encoding}")

    def _on_doctype(self, *_: object) -> None:
        self._stop("doctype", "has a DOCTYPE, which can define entities")

    # Elements

    def _on_start(self, name: str, attributes: dict[str, str]) -> None:
        self._close_fault()
        if len(self._stack) + self._within >= MAX_DEPTH:
            self._stop("limit", f"elements are nested more than {MAX_DEPTH:,} deep")
        if self._is_in_value:
            self._within += 1
            self._check_value(name)
            return
        element = _Element(ELEMENTS.get(name), self._parser.CurrentByteIndex)
        self._stack.append(element)
        if not self._check_place(element, name):
            return
        kind = element.kind
        if kind is None:
            return
        missing = [wanted for wanted in REQUIRED.get(kind, ()) if wanted not in attributes]
        for attribute in missing:
            self._add("missing-attribute", f"a <{kind}> element has no {attribute}")
        if kind == "node" and missing:
            raise _FatalError  # nothing can refer to it, and its children have no owner
        self._start(element, kind, attributes, is_complete=not missing)
        self._is_in_value = kind in OPAQUE

    def _check_place(self, element: _Element, name: str) -> bool:
        """Whether to look closer at an element, given the element around it."""
        if len(self._stack) == 1:
            if element.kind != "graphml":
                self._stop("not-graphml", f"is not GraphML: the root element is <{local(name)}>")
            return True
        if element.kind is None:
            self._add("unknown-element", f"GraphML has no element <{local(name)}> here")
            return False
        outer = self._stack[-2].kind
        if outer is not None and element.kind not in CHILDREN[outer]:
            self._add("misplaced-element", f"a <{element.kind}> element is not allowed in a <{outer}> element")
        if element.kind in NOT_SUPPORTED:
            self._add("not-supported", f"a <{element.kind}> element")
        return True

    def _start(self, element: _Element, kind: str, attributes: dict[str, str], *, is_complete: bool) -> None:
        line = self._parser.CurrentLineNumber
        if kind in ("node", "edge"):
            element.is_faulty = kind == "edge" and not is_complete
            self._owners.append(_Owner(kind, self._nodes if kind == "node" else NO_NODE))
            self._nodes += kind == "node"
        elif kind == "graph":
            if self._owners and self._owners[-1].kind == "node":
                self.document.groups.add(self._owners[-1].number)
            if "edgedefault" not in attributes and not self._lacks_edgedefault:  # cytoscape.js writes none
                self._lacks_edgedefault = True
                self._add("edgedefault-missing", "a <graph> element has no edgedefault")
            if len(self._stack) == 2:
                self._keys.start_graph()
        elif kind == "key":
            element.is_faulty = not is_complete or not self._keys.declare(attributes, line)
        elif kind == "default" and (key := self._keys.last) is not None:
            element.value = key
            self._parser.CharacterDataHandler = self._on_default
        elif kind == "data" and self._stack[-2].kind in ("node", "edge"):  # not that of a graph in a node
            owner = self._owners[-1]
            element.is_faulty = not is_complete or not self._keys.use(attributes["key"], owner.kind, owner.values, line)
            element.value = self._keys.name(attributes["key"], owner.kind) if is_complete else None
        elif kind == "data" and not self._owners and is_complete:
            self._start_graph_value(attributes["key"])

    def _start_graph_value(self, key: str) -> None:
        name = self._keys.of_graph(key)
        if name is not None:
            self._graph_value = name
            self._parser.CharacterDataHandler = self._on_graph_value

    def _check_value(self, name: str) -> None:
        """An element within a value: a reader refuses it in values of the format, and GraphML's own everywhere."""
        outer = self._stack[-1]
        if (outer.value is not None or (name in ELEMENTS and outer.kind != "desc")) and not outer.is_faulty:
            self._add(
                "element-in-value", f"a value of {outer.value or 'another tool'!r} has an element <{local(name)}>"
            )
            outer.is_faulty = True

    def _on_graph_value(self, text: str) -> None:
        values = self.document.values
        if sum(map(len, values.values())) + len(text) <= _MAX_VALUES:
            values[self._graph_value] = values.get(self._graph_value, "") + text

    def _on_default(self, text: str) -> None:
        element = self._stack[-1]
        if not text.isspace() and not element.is_faulty:
            self._add("key-default", f"the key {element.value!r} has a default")
            element.is_faulty = True

    def _on_end(self, name: str) -> None:
        self._close_fault()
        if self._within:
            self._within -= 1
            return
        element = self._stack.pop()
        if self._is_in_value:
            self._is_in_value = False
            self._parser.CharacterDataHandler = None
        elif element.kind in ("node", "edge"):
            self._end_owner(self._owners.pop())
        elif element.kind == "key":
            self._keys.last = None
        if element.is_faulty and not any(outer.is_faulty for outer in self._stack):
            self._ended = element
            # The next event shows where the end tag ends.
            self._parser.CharacterDataHandler = self._on_next
            self._parser.CommentHandler = self._parser.ProcessingInstructionHandler = self._on_next
            self._parser.StartCdataSectionHandler = self._on_next

    def _end_owner(self, owner: _Owner) -> None:
        if owner.kind == "node":
            around = next((outer.number for outer in reversed(self._owners) if outer.kind == "node"), NO_NODE)
            self.document.order.append(owner.number)
            self.document.around.append(around)

    def _on_next(self, *_: object) -> None:
        self._close_fault()

    def _close_fault(self) -> None:
        if self._ended is None:
            return
        if len(self.document.faulty) == _MAX_FAULTY:
            self._stop("limit", f"more than {_MAX_FAULTY:,} elements are faulty")
        self.document.faulty.append((self._ended.start, self._parser.CurrentByteIndex))
        self._ended = None
        self._parser.CharacterDataHandler = self._parser.CommentHandler = None
        self._parser.ProcessingInstructionHandler = self._parser.StartCdataSectionHandler = None
