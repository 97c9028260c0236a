"""Identities are unique, XML ids, short, and those of their names: whatever the names are."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import onnx
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

from graphml_onnx import from_networkx, to_networkx
from graphml_onnx.codec.identities import Identities

if TYPE_CHECKING:
    from collections.abc import Sequence

HOSTILE = st.sampled_from(["", "a", "model", "/a", "a/", 'a"b', "<&>", "x\0y", "ü" * 40, "\ud800", "a.00000000", "a-2"])
NAMES = st.one_of(HOSTILE, st.text(max_size=40))


def operators(names: Sequence[tuple[str, str]]) -> list[onnx.NodeProto]:
    nodes = []
    for name, output in names:
        node = helper.make_node("Relu", ["x"], [])
        node = onnx.NodeProto.FromString(
            node.SerializeToString() + field(2, output) + (field(3, name) if name else b"")
        )
        nodes.append(node)
    return nodes


def field(number: int, text: str) -> bytes:
    content = text.encode("utf-8", "surrogateescape") if "\ud800" not in text else b"\xff"
    return bytes([number << 3 | 2, len(content)]) + content if len(content) < 128 else b""


@given(st.lists(st.tuples(NAMES, NAMES), max_size=8))
def test_whatever_operators_are_called(names: list[tuple[str, str]]) -> None:
    """Names that are empty, long, hostile, that stand twice, and that look like identities."""
    nodes = operators([(name.replace("\ud800", "?"), output.replace("\ud800", "?")) for name, output in names])
    model = helper.make_model(helper.make_graph(nodes, "model", [], []))
    graph = to_networkx(model)
    ids = [node for node, kind in graph.nodes(data="kind") if kind != "module"]
    assert len(ids) == len(nodes) + 1
    assert all(re.fullmatch(r"model|[A-Za-z0-9_-]{1,24}\.[0-9a-f]{8}(-[0-9]+)?", node) for node in ids)
    assert from_networkx(graph) == model


def test_operators_of_one_name_are_told_by_what_they_make() -> None:
    def ids(count: int, start: int = 0) -> list[str]:
        nodes = [helper.make_node("Relu", ["x"], [f"t{index}"], name="same") for index in range(start, count)]
        model = helper.make_model(helper.make_graph(nodes, "g", [], []))
        return list(to_networkx(model))[1:]

    assert len(set(ids(50))) == 50
    assert ids(50)[:30] == ids(30)
    assert len(set(ids(50)) & set(ids(50, 1))) == 49  # the next one takes the one that is free


def test_an_identity_is_that_of_a_name_and_not_of_a_place() -> None:
    def ids(names: str) -> dict[str, str]:
        nodes = [helper.make_node("Relu", ["x"], [f"{name}_out"], name=name) for name in names]
        graph = to_networkx(helper.make_model(helper.make_graph(nodes, "g", [], [])))
        return {data["name"]: node for node, data in graph.nodes(data=True) if data["kind"] == "op"}

    every = ids("abcdef")
    assert ids("fdb") == {name: every[name] for name in "fdb"}


def test_equal_names_in_bodies_and_functions_differ() -> None:
    def body(name: str) -> onnx.GraphProto:
        return helper.make_graph([helper.make_node("Neg", ["x"], ["n"], name="inner")], name, [], [])

    choice = helper.make_node("If", ["c"], ["y"], name="choice", then_branch=body("t"), else_branch=body("e"))
    opsets = [helper.make_opsetid("", 21)]
    functions = [
        helper.make_function("d", name, ["x"], ["n"], [helper.make_node("Neg", ["x"], ["n"], name="inner")], opsets)
        for name in ("f", "g")
    ]
    model = helper.make_model(helper.make_graph([choice], "g", [], []), opset_imports=opsets, functions=functions)
    graph = to_networkx(model)
    inner = [node for node, data in graph.nodes(data=True) if data.get("name") == "inner"]
    assert len(inner) == 4
    assert from_networkx(graph) == model


def test_many_that_are_called_nothing_are_numbered_in_linear_time() -> None:
    identities = Identities()
    found = {identities.of("input", "model", b"") for _ in range(50_000)}
    assert len(found) == 50_000
