"""A document without declared keys, as cytoscape.js saves it: their ids are names, and nesting says what is around."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from graphml_onnx import GraphMLError
from graphml_onnx.graphml.elements import Nesting, Wanted
from graphml_onnx.graphml.xml import read_xml

INNER = '<node id="b"><data key="who">inner</data></node>'
GROUP = f'<node id="a"><data key="who">outer</data><data key="x">1.5</data><graph>{INNER}</graph></node>'


NESTING = Nesting("who", "where")


def read(body: str, keys: str = "", nesting: Nesting | None = NESTING) -> dict[str, dict[str, str]]:
    file = io.BytesIO(f"<graphml>{keys}<graph>{body}</graph></graphml>".encode())
    records = read_xml(file, Path("a.graphml"), Wanted(frozenset({"who", "where"}), nesting=nesting), {})
    return {record.node_id: record.data for record in records}


def test_ids_of_keys_are_names_and_others_are_passed_over() -> None:
    assert read(GROUP, nesting=None) == {"a": {"who": "outer"}, "b": {"who": "inner"}}


def test_nesting_says_what_is_around() -> None:
    assert read(GROUP) == {"a": {"who": "outer"}, "b": {"who": "inner", "where": "outer"}}


def test_a_value_counts_more_than_nesting() -> None:
    body = GROUP.replace("inner</data>", 'inner</data><data key="where">elsewhere</data>')
    assert read(body)["b"] == {"who": "inner", "where": "elsewhere"}


def test_a_node_around_without_a_name_says_nothing() -> None:
    assert read(GROUP.replace('<data key="who">outer</data>', ""))["b"] == {"who": "inner"}


def test_nesting_says_nothing_where_keys_are_declared() -> None:
    keys = '<key id="who" for="node" attr.name="who"/><key id="x" for="node" attr.name="x"/>'
    assert read(GROUP, keys) == {"a": {"who": "outer"}, "b": {"who": "inner"}}


def test_one_declared_key_means_that_all_are() -> None:
    with pytest.raises(GraphMLError, match="'who' is not declared"):
        read(GROUP, '<key id="x" for="node" attr.name="x"/>')
