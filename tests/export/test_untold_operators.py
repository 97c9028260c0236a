"""Operators of which an exporter tells nothing: where they go, by what uses them and what they use."""

from __future__ import annotations

import onnx

from graphml_onnx.exporting.backends.modules import Weights
from graphml_onnx.exporting.placement import NAME, Found, place
from graphml_onnx.hierarchy import Module

TREE = [
    Module(parent, scope, f"/{scope}", scope, scope) for parent, scope in ((None, ""), (0, "a"), (0, "b"), (1, "a.c"))
]


class ByName:
    """Takes what stands before a slash for the path of the module."""

    def find(self, operator: onnx.NodeProto) -> Found | None:
        scope, slash, _ = operator.name.rpartition("/")
        return Found([module.scope for module in TREE].index(scope), NAME) if slash else None


def placed(*operators: tuple[str, str, str]) -> dict[str, tuple[str, str]]:
    """The scope and the rule of each operator, given as its inputs, its name and its outputs."""
    nodes = [onnx.helper.make_node("Op", inputs.split(), outputs.split(), name) for inputs, name, outputs in operators]
    weight = onnx.TensorProto(name="w")
    places = place(onnx.GraphProto(node=nodes, initializer=[weight]), TREE, ByName(), Weights({}, {}, {}))
    return {
        node.name: (TREE[found.module].scope, found.rule.name) for node, found, _ in places if found.rule is not NAME
    }


def test_a_constant_is_in_the_one_module_that_uses_it() -> None:
    assert placed(("", "constant", "k"), ("w", "copy", "v"), ("x k v", "a/add", "y"), ("y k", "a/mul", "z")) == {
        "constant": ("a", "operand"),
        "copy": ("a", "operand"),
    }


def test_a_constant_of_several_modules_is_around_them() -> None:
    assert placed(("", "constant", "k"), ("x k", "a/add", "y"), ("y k", "a.c/mul", "z")) == {
        "constant": ("a", "consumers"),
    }


def test_what_lies_between_modules_is_in_neither() -> None:
    """What a compiled function does has no scope, and the module that calls it may have nothing else."""
    assert placed(
        ("x", "a/add", "y"), ("", "k", "k"), ("y k", "one", "p"), ("p k", "two", "q"), ("q", "b/mul", "z")
    ) == dict.fromkeys(("k", "one", "two"), ("", "consumers"))


def test_what_lies_within_a_module_is_in_it() -> None:
    assert placed(("x", "a/add", "y"), ("y", "one", "p"), ("p", "two", "q"), ("q", "a.c/mul", "z")) == {
        "one": ("a", "consumers"),
        "two": ("a", "consumers"),
    }


def test_what_nothing_uses_is_where_its_inputs_come_from() -> None:
    assert placed(("x", "a.c/add", "y"), ("y", "one", "p"), ("p", "two", "q"), ("x", "three", "r")) == {
        "one": ("a.c", "producers"),
        "two": ("a.c", "producers"),
        "three": ("", "root"),
    }
