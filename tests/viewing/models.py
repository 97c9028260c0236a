"""Small models for the tests of the page."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HOSTILE = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "quote\" 'and' `back`",
    "line\nbreak\u2028separator\x00null\x1b[31m",
    "turned\u202egnp.exe",
    "${alert(1)} {{ x }} {data}",
    "a/b//c#d?e%2f&amp;",
    "日本語 é 😀",
    "__proto__",
    "constructor",
)
"""Names that break out of what holds them, if anything lets them."""


def _save(path: Path, graph: onnx.GraphProto, functions: Sequence[onnx.FunctionProto] = ()) -> Path:
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("local", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10, functions=functions), path)
    return path


def _value(name: str, shape: Sequence[int | str] = (2, 4)) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def layers(path: Path, count: int = 3) -> Path:
    """Two modules around layers of a linear part and an activation, with a skip connection around each."""
    nodes = []
    weights = []
    taken = "x"
    for number in range(count):
        scope = f"/encoder/layer.{number}"
        weight = f"encoder.layer.{number}.linear.weight"
        weights.append(numpy_helper.from_array(np.full((4, 4), number, np.float32), weight))
        nodes += [
            helper.make_node("MatMul", [taken, weight], [f"{scope}/mm"], name=f"{scope}/linear/MatMul"),
            helper.make_node("Elu", [f"{scope}/mm"], [f"{scope}/act"], name=f"{scope}/act/Elu", alpha=0.5),
            helper.make_node("Add", [taken, f"{scope}/act"], [f"{scope}/out"], name=f"{scope}/Add"),
        ]
        taken = f"{scope}/out"
    nodes += [
        helper.make_node("Constant", [], ["axes"], name="/head/Constant", value_ints=[1]),
        helper.make_node("ReduceMean", [taken, "axes"], ["y"], name="/head/ReduceMean", keepdims=0),
    ]
    return _save(path, helper.make_graph(nodes, "layers", [_value("x")], [_value("y", (2,))], weights))


def bodies_and_functions(path: Path) -> Path:
    """An If whose branches take a tensor from outside, and a function that is called twice."""
    branches = [
        helper.make_graph([helper.make_node(op, ["h"], [f"{op}_out"], name=op)], op, [], [_value(f"{op}_out")])
        for op in ("Relu", "Tanh")
    ]
    function = helper.make_function(
        "local", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"], name="plus")],
        [helper.make_opsetid("", 20)],
    )  # fmt: skip
    nodes = [
        helper.make_node("Twice", ["x"], ["h"], name="first", domain="local"),
        helper.make_node("ReduceSum", ["x"], ["s"], name="sum", keepdims=0),
        helper.make_node("Cast", ["s"], ["c"], name="cast", to=TensorProto.BOOL),
        helper.make_node("If", ["c"], ["i"], name="choice", then_branch=branches[0], else_branch=branches[1]),
        helper.make_node("Twice", ["i"], ["y"], name="second", domain="local"),
    ]
    return _save(path, helper.make_graph(nodes, "bodies", [_value("x")], [_value("y")]), [function])


def hostile(path: Path) -> Path:
    """Every name of `HOSTILE` as the name of an operator, a tensor, a weight, a type and an attribute."""
    nodes = []
    weights = []
    taken = HOSTILE[0]
    for name in HOSTILE:
        node = helper.make_node(name, [taken, f"w{name}"], [f"t{name}"], name=name, domain="local")
        node.attribute.append(helper.make_attribute(f"a{name}", name))
        nodes.append(node)
        weights.append(numpy_helper.from_array(np.ones(3, np.float32), f"w{name}"))
        taken = f"t{name}"
    return _save(path, helper.make_graph(nodes, HOSTILE[0], [_value(HOSTILE[0])], [_value(taken)], weights))


def wide(path: Path, children: int) -> Path:
    """One module with this many operators, branches and long edges."""
    nodes = []
    made = ["x"]
    for number in range(children):
        take = [made[-1], made[max(0, len(made) - 1 - (number * 7) % 23)]]
        nodes.append(helper.make_node("Add", take, [f"/block/t{number}"], name=f"/block/Add_{number}"))
        made.append(f"/block/t{number}")
    return _save(path, helper.make_graph(nodes, "wide", [_value("x")], [_value(made[-1])]))


def tower(path: Path) -> Path:
    """A narrow chain of modules above many operators that are side by side in a module."""
    nodes = []
    for i in range(80):
        kind = "Neg" if i % 2 else "Relu"  # neighbours that look the same would be side by side too
        nodes.append(helper.make_node(kind, [f"t{i}" if i else "x"], [f"t{i + 1}"], name=f"/part.{i}/inner/{kind}"))
    made = [f"/wide/t{number}" for number in range(60)]
    nodes += [helper.make_node("Elu", ["t80"], [name], name=f"/wide/Elu_{i}") for i, name in enumerate(made)]
    nodes.append(helper.make_node("Sum", made, ["y"], name="/wide/Sum"))
    return _save(path, helper.make_graph(nodes, "tower", [_value("x")], [_value("y")]))


def tangled(path: Path, seed: int, count: int = 60) -> Path:
    """Operators in random modules that run in several parts, with random flow between all of them."""
    random = Random(seed)
    made = ["x"]
    nodes = []
    for number in range(count):
        scope = "".join(f"/m{random.randrange(3)}" for _ in range(random.randrange(4)))
        inputs = [random.choice(made[-1 - random.randrange(20) :]) for _ in range(random.randint(1, 3))]
        outputs = [f"t{number}_{place}" for place in range(random.choice((1, 1, 1, 2)))]
        nodes.append(helper.make_node("Any", inputs, outputs, name=f"{scope}/Any_{number}", domain="local"))
        made += outputs
    return _save(path, helper.make_graph(nodes, "tangled", [_value("x")], [_value(name) for name in made[-3:]]))
