"""A model with a little of everything that people edit, and its graph as text to edit."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import onnx
from onnx import TensorProto, helper

if TYPE_CHECKING:
    from collections.abc import Callable


def model() -> onnx.ModelProto:
    """Operators in modules, weights inline and as payloads, an If, a dead operator."""
    f = TensorProto.FLOAT
    branches = [
        helper.make_graph(
            [helper.make_node(kind, ["soft"], ["inner"], name=kind.lower())],
            f"{kind} branch",
            [],
            [helper.make_empty_tensor_value_info("inner")],
        )
        for kind in ("Neg", "Abs")
    ]
    fill = helper.make_tensor("value", f, [1, 2], [0.5, 1.5])
    nodes = [
        helper.make_node("Relu", ["x"], ["h"], name="/first/relu"),
        helper.make_node("Add", ["h", "w"], ["sum"], name="/first/add", doc_string="adds"),
        helper.make_node("MatMul", ["sum", "big"], ["product"], name="/second/matmul"),
        helper.make_node("Softmax", ["product"], ["soft"], name="/second/softmax", axis=1),
        helper.make_node("Constant", [], ["fill"], name="/second/fill", value=fill),
        helper.make_node("If", ["c"], ["y"], name="/second/choice", then_branch=branches[0], else_branch=branches[1]),
        helper.make_node("Identity", ["h"], ["dead"], name="/second/dead"),
    ]
    graph = helper.make_graph(
        nodes,
        "editable",
        [helper.make_tensor_value_info("x", f, ["batch", 2]), helper.make_tensor_value_info("c", TensorProto.BOOL, [])],
        [helper.make_tensor_value_info("y", f, None)],
        [
            TensorProto(name="w", data_type=f, dims=[2, 2], raw_data=b"".join(map(_float, (0.1, 1, -2, 3e-7)))),
            TensorProto(name="big", data_type=f, dims=[2, 600], raw_data=bytes(range(200)) * 24),
        ],
        doc_string="a graph",
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 21)], producer_name="test", doc_string="first draft"
    )


def _float(value: float) -> bytes:
    import struct

    return struct.pack("<f", value)


@dataclass(frozen=True)
class Text:
    """The text of a graph; each method gives the text after an edit."""

    text: str

    def block(self, name: str) -> re.Match[str]:
        """The operator (or input, or output) of this name, from its opening tag to the end of its values."""
        values = r"(?:  <data [^$]*?</data>\n)*?"
        name_value = rf'  <data key="name">{re.escape(name)}</data>\n'
        found = re.search(rf'<node id="([^"]*)"[^>]*>\n{values}{name_value}{values}(?=</node>|<graph )', self._masked())
        assert found is not None, f"no node named {name}"
        return found

    def _masked(self) -> str:
        return self.text.replace("$", "%")  # of the same length, so that "$" stands nowhere in a value

    def xml_id(self, name: str) -> str:
        return self.block(name)[1]

    def line(self, name: str) -> int:
        """The line where the node of this name starts."""
        return self.text.count("\n", 0, self.block(name).start()) + 1

    def model_line(self) -> int:
        return self.text.count("\n", 0, self.text.rindex("<node ", 0, self.text.index('"kind">model<'))) + 1

    def within(self, name: str, old: str, new: str) -> Text:
        """Replaces ``old``, which stands once in the node of this name."""
        start, end = self.block(name).span()
        block = self.text[start:end]
        assert block.count(old) == 1, f"{old!r} stands {block.count(old)} times in {block}"
        return replace(self, text=self.text[:start] + block.replace(old, new) + self.text[end:])

    def value(self, name: str, key: str) -> str:
        start, end = self.block(name).span()
        found = re.search(rf'<data key="{key}">([^<]*)</data>', self.text[start:end])
        assert found is not None
        return found[1]

    def set(self, name: str, key: str, value: str) -> Text:
        """Replaces the value of a key."""
        old = self.value(name, key)
        return self.within(name, f'<data key="{key}">{old}</data>', f'<data key="{key}">{value}</data>')

    def add(self, name: str, key: str, value: str) -> Text:
        """Adds a value to the node of this name."""
        end = self.block(name).end()
        added = f'  <data key="{key}">{value}</data>\n'
        return replace(self, text=self.text[:end] + added + self.text[end:])

    def once(self, old: str, new: str) -> Text:
        """Replaces ``old``, which stands once in the whole text."""
        assert self.text.count(old) == 1, f"{old!r} stands {self.text.count(old)} times"
        return replace(self, text=self.text.replace(old, new))

    def every(self, pattern: str, new: str | Callable[[re.Match[str]], str]) -> Text:
        text, count = re.subn(pattern, new, self.text)
        assert count > 0, f"{pattern} is not there"
        return replace(self, text=text)

    def without(self, name: str) -> Text:
        """Removes an operator, and the edges at it."""
        found = self.block(name)
        gone = self.text[found.start() : found.end()] + "</node>\n"
        return self.once(gone, "").every(rf'<edge [^>]*"{found[1]}".*\n', "")

    def edge(self, source: str, target: str) -> str:
        """The line of the edge between the nodes of two names."""
        start = f'<edge source="{self.xml_id(source)}" target="{self.xml_id(target)}">'
        lines = [line for line in self.text.splitlines(keepends=True) if line.startswith(start)]
        assert len(lines) == 1
        return lines[0]

    def line_of(self, text: str) -> int:
        return self.text.count("\n", 0, self.text.index(text)) + 1
