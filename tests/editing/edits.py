"""A model with a little of everything that people edit, and its graph as text to edit."""

from __future__ import annotations

import re
import struct
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
        [helper.make_tensor_value_info("y", f, ["batch", 600])],
        [
            TensorProto(name="w", data_type=f, dims=[2, 2], raw_data=b"".join(map(float32, (0.1, 1, -2, 3e-7)))),
            TensorProto(name="big", data_type=f, dims=[2, 600], raw_data=bytes(range(200)) * 24),
        ],
        doc_string="a graph",
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 21)], producer_name="test", doc_string="first draft"
    )


def float32(value: float) -> bytes:
    return struct.pack("<f", value)


@dataclass(frozen=True)
class Text:
    """The text of a graph; each method gives the text after an edit."""

    text: str

    def block(self, name: str) -> str:
        """The node of this name, from its opening tag to the end of its values."""
        value = self._only(f'  <data key="name">{name}</data>\n')
        start = self.text.rindex("<node ", 0, value)
        ends = [self.text.find(end, value) for end in ("</node>", "<graph ")]
        return self.text[start : min(end for end in ends if end >= 0)]

    def _only(self, text: str) -> int:
        assert self.text.count(text) == 1, f"{text!r} stands {self.text.count(text)} times"
        return self.text.index(text)

    def xml_id(self, name: str) -> str:
        return self.block(name).split('"')[1]

    def line_of(self, text: str) -> int:
        """The line where a text that stands once starts."""
        return self.text.count("\n", 0, self._only(text)) + 1

    def once(self, old: str, new: str) -> Text:
        """Replaces ``old``, which stands once in the whole text."""
        position = self._only(old)
        return replace(self, text=self.text[:position] + new + self.text[position + len(old) :])

    def within(self, name: str, old: str, new: str) -> Text:
        """Replaces ``old``, which stands once in the node of this name."""
        block = self.block(name)
        assert block.count(old) == 1, f"{old!r} stands {block.count(old)} times in {block}"
        return self.once(block, block.replace(old, new))

    def set(self, name: str, key: str, value: str) -> Text:
        """Replaces the value of a key."""
        found = re.search(rf'<data key="{key}">[^<]*</data>', self.block(name))
        assert found is not None, f"{name} has no {key}"
        return self.within(name, found[0], f'<data key="{key}">{value}</data>')

    def add(self, name: str, key: str, value: str) -> Text:
        """Adds a value to the node of this name."""
        block = self.block(name)
        return self.once(block, f'{block}  <data key="{key}">{value}</data>\n')

    def insert(self, elements: str) -> Text:
        """Adds nodes or edges to the root graph, after the nodes."""
        position = self.text.index("<edge ")
        return replace(self, text=self.text[:position] + elements + self.text[position:])

    def every(self, pattern: str, new: str | Callable[[re.Match[str]], str]) -> Text:
        text, count = re.subn(pattern, new, self.text)
        assert count > 0, f"{pattern} is not there"
        return replace(self, text=text)

    def without(self, name: str) -> Text:
        """Removes an operator, and the edges at it."""
        node_id = self.xml_id(name)
        return self.once(f"{self.block(name)}</node>\n", "").every(rf'<edge [^>]*"{node_id}".*\n', "")

    def edge(self, source: str, target: str) -> str:
        """The line of the one edge between the nodes of two names."""
        start = f'<edge source="{self.xml_id(source)}" target="{self.xml_id(target)}">'
        return next(line for line in self.text.splitlines(keepends=True) if line.startswith(start))
