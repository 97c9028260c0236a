"""The order of lists: what nodes say comes back, and what an edit leaves open is completed as docs/format.md says."""

from __future__ import annotations

import difflib
import random
import re
from typing import TYPE_CHECKING

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from graphml_onnx import decode, encode
from graphml_onnx.codec.order import CircleError, in_order

if TYPE_CHECKING:
    from pathlib import Path

COUNT = 12


@given(order=st.permutations(range(COUNT)))
def test_a_chain_is_followed_wherever_its_nodes_stand(order: list[int]) -> None:
    after = {node: order[place - 1] if place else -1 for place, node in enumerate(order)}
    assert list(in_order(range(COUNT), [after[node] for node in range(COUNT)], -1)) == order


@given(removed=st.sets(st.integers(0, COUNT - 1)))
def test_what_is_left_keeps_its_order(removed: set[int]) -> None:
    left = [node for node in range(COUNT) if node not in removed]
    assert [left[row] for row in in_order(left, [node - 1 for node in left], -1)] == left


@given(
    data=st.data(),
    order=st.permutations(range(COUNT)),
    lost=st.lists(st.sampled_from(["gone", None, 3, 5, -1]), min_size=COUNT, max_size=COUNT),
)
def test_the_flow_decides_where_the_order_is_open(data: st.DataObject, order: list[int], lost: list[object]) -> None:
    """Whatever was lost: nodes that others need come before them, and every node comes once."""
    place = {node: where for where, node in enumerate(order)}
    needs = {
        node: [
            other for other in data.draw(st.sets(st.integers(0, COUNT - 1), max_size=2)) if place[other] < place[node]
        ]
        for node in range(COUNT)
    }
    try:
        found = list(in_order(range(COUNT), [*lost], -1, lambda: needs))
    except CircleError:
        return
    assert sorted(found) == list(range(COUNT))
    if len(set(lost)) < COUNT:
        assert all(found.index(other) < found.index(node) for node in found for other in needs[node])


def test_what_is_said_counts_more_than_the_flow() -> None:
    assert list(in_order("ab", ["b", "start"], "start", lambda: {1: [0]})) == [1, 0]


def test_of_several_that_stand_after_one_the_short_branch_comes_first() -> None:
    after = {"p": "start", "s": "p", "t": "s", "u": "t", "new": "p", "newer": "new"}
    assert [list(after)[row] for row in in_order(list(after), list(after.values()), "start")] == [
        "p", "new", "newer", "s", "t", "u",
    ]  # fmt: skip


@pytest.mark.parametrize("after", [["a", "b"], ["b", "a"], ["b", "c", "b"]])
def test_a_circle_is_told(after: list[str]) -> None:
    with pytest.raises(CircleError):
        in_order("abc"[: len(after)], after, "start")


def test_a_needs_b_and_b_needs_a() -> None:
    """Then both stay where they are: onnx.checker reports it."""
    assert list(in_order("ab", [None, None], "start", lambda: {0: [1], 1: [0]})) == [1, 0]


# --- as text ----------------------------------------------------------------------------------------------------------


def chain(names: list[str], inserted: str = "", *, named: bool = True) -> onnx.ModelProto:
    """A chain of operators in modules of five, and one more operator in the middle."""
    nodes, last = [], "x"
    for index, name in enumerate(names):
        path = f"/enc/layer.{index // 5}/{name}"
        nodes.append(helper.make_node("Relu", [last], [f"{path}_out"], name=path if named else ""))
        last = f"{path}_out"
        if inserted and index == len(names) // 2:
            path = f"/enc/layer.{index // 5}/{inserted}"
            nodes.append(helper.make_node("Neg", [last], [f"{path}_out"], name=path if named else ""))
            last = f"{path}_out"
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in ("x", last)]
    return helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:]))


def lines(model: onnx.ModelProto, folder: Path, layout: str) -> list[str]:
    path = folder / "model.onnx"
    onnx.save(model, path)
    graph = encode(path, folder / "graph.graphml", layout=layout, overwrite=True).graphml  # type: ignore[arg-type]
    return graph.read_text("utf-8").splitlines()


@pytest.mark.parametrize("layout", ["flat", "plain"])
@pytest.mark.parametrize("named", [True, False])
def test_an_insertion_changes_what_it_concerns(tmp_path: Path, layout: str, named: bool) -> None:
    names = [f"op{index}" for index in range(60)]
    before = lines(chain(names, named=named), tmp_path, layout)
    after = lines(chain(names, "added", named=named), tmp_path, layout)
    changed = [line for line in difflib.unified_diff(before, after, n=0, lineterm="") if line[0] in "+-"]
    assert len(changed) <= 30


def test_an_operator_is_inserted_with_one_node_and_one_other_line(tmp_path: Path) -> None:
    """The new operator, and the inputs of the one that consumes what it makes: nothing else."""
    names = ["a", "b", "c"]
    text = "\n".join(lines(chain(names), tmp_path, "flat"))
    new = (
        '<node id="new"><data key="kind">op</data><data key="node_id">new</data><data key="parent">model</data>'
        '<data key="op_type">Neg</data><data key="inputs">["/enc/layer.0/b_out"]</data>'
        '<data key="outputs">["made"]</data></node>\n<edge '
    )
    text = text.replace('"inputs">["/enc/layer.0/b_out"]', '"inputs">["made"]').replace("<edge ", new, 1)
    (tmp_path / "graph.graphml").write_text(text, "utf-8")
    decode(tmp_path / "graph.graphml", tmp_path / "back.onnx", trust="nodes")
    nodes = onnx.load(tmp_path / "back.onnx").graph.node
    assert [node.op_type for node in nodes] == ["Relu", "Relu", "Neg", "Relu"]
    onnx.checker.check_model(onnx.load(tmp_path / "back.onnx"))


def test_the_order_follows_from_the_flow_alone(tmp_path: Path) -> None:
    """Without any `after`, and with the nodes in any order; a body also consumes what is made outside it."""
    then = helper.make_graph(
        [helper.make_node("Neg", ["b"], ["t"])], "then", [], [helper.make_empty_tensor_value_info("t")]
    )
    nodes = [
        helper.make_node("Relu", ["x"], ["a"], name="1"),
        helper.make_node("Relu", ["a"], ["b"], name="2"),
        helper.make_node("If", ["c"], ["y"], name="3", then_branch=then, else_branch=then),
        helper.make_node("Relu", ["y"], ["z"], name="4"),
    ]
    x, c, z = (
        helper.make_tensor_value_info(name, kind, [1] if name != "c" else [])
        for name, kind in (("x", TensorProto.FLOAT), ("c", TensorProto.BOOL), ("z", TensorProto.FLOAT))
    )
    model = helper.make_model(helper.make_graph(nodes, "g", [x, c], [z]))
    found = lines(model, tmp_path, "flat")
    rng = random.Random(0)
    for _ in range(6):
        text = "\n".join(line for line in found if '<data key="after">' not in line)
        head, *blocks = text.split("<node ")
        *blocks, last = blocks
        last, end = last.split("</node>\n", 1)
        blocks.append(last + "</node>\n")
        rng.shuffle(blocks)
        (tmp_path / "graph.graphml").write_text(head + "".join(f"<node {block}" for block in blocks) + end, "utf-8")
        decode(tmp_path / "graph.graphml", tmp_path / "back.onnx", overwrite=True)
        assert [node.name for node in onnx.load(tmp_path / "back.onnx").graph.node] == ["1", "2", "3", "4"]


@pytest.mark.parametrize("version", [3, 8])
def test_inputs_that_are_weights_stand_between_others(tmp_path: Path, version: int) -> None:
    names = ["w0", "x", "w1", "w2", "y", "w3"]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in names]
    weights = [helper.make_tensor(name, TensorProto.FLOAT, [1], [1.0]) for name in names if name[0] == "w"]
    out = helper.make_tensor_value_info("z", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Sum", names, ["z"])], "g", values, [out], weights)
    model = helper.make_model(graph, ir_version=version)
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    graphml = encode(path, tmp_path / "graph.graphml").graphml
    assert decode(graphml, tmp_path / "back.onnx").exact
    if version == 3:  # x is removed by hand; the weights behind it follow those before it
        text = graphml.read_text("utf-8")
        start = text.index('<node id="x.')
        end = text.index("</node>\n", start) + len("</node>\n")
        text = re.sub('<edge source="x[.].*\n', "", text[:start] + text[end:])
        graphml.write_text(text, "utf-8")
        decode(graphml, tmp_path / "back.onnx", overwrite=True, trust="nodes")
        found = [value.name for value in onnx.load(tmp_path / "back.onnx").graph.input]
        assert found == ["w0", "w1", "w2", "y", "w3"]
