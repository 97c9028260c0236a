"""Graphs of many operators and hardly any weights, in the shapes that the cost of a graph may depend on.

All are chains of the same five kinds of operators, so that what differs is the shape alone.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING

from onnx import GraphProto, NodeProto, TensorProto, ValueInfoProto, helper

from benchmarks.wire import model_around

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

_OPSET = helper.make_opsetid("", 20)
_VECTOR: list[str | int | None] = ["batch", 64]
_AT_ONCE = 10_000  # operators that are in memory as messages
_DEPTH = 12
_PER_MODULE = 50
_PER_SMALL_MODULE = 4
_LEVELS = 32  # of subgraphs; protobuf reads messages 100 deep, and each level takes three
_PER_BODY = 12


class _Chain:
    """Makes operators, each of which takes what the one before it gives, and some what an earlier one gave.

    Args:
        first: the value that the chain starts with.
    """

    def __init__(self, first: str) -> None:
        self._values = deque([first], maxlen=8)

    @property
    def last(self) -> str:
        """The value that the last operator gives."""
        return self._values[-1]

    def take(self, value: str) -> None:
        """Goes on with another value."""
        self._values.append(value)

    def add(self, index: int, scope: str) -> NodeProto:
        """The next operator; ``scope`` stands before the names, with the slash that ends it."""
        values = self._values
        last, output, name = values[-1], f"{scope}value_{index}", f"{scope}op_{index}"
        earlier = values[-1 - index % min(7, len(values))]
        values.append(output)
        match index % 5:
            case 0:
                return helper.make_node("Add", [last, earlier], [output], name=name)
            case 1:
                return helper.make_node("Relu", [last], [output], name=name)
            case 2:
                return helper.make_node("Mul", [last, "factor"], [output], name=name)
            case 3:
                return helper.make_node("Concat", [last], [output], name=name, axis=1)
            case _:
                return helper.make_node("Transpose", [last], [output], name=name, perm=[0, 1])


def tree(path: Path, count: int = 100_000) -> Path:
    """``count`` operators in a tree of modules as exporters write it: 5,000 in a stage, 50 in a block."""
    return _chained(path, count, lambda index: f"/encoder/stage.{index // 5_000}/block.{index // 50 % 100}/")


def flat(path: Path, count: int = 100_000) -> Path:
    """``count`` operators without modules."""
    return _chained(path, count, lambda _: "")


def exported(path: Path, count: int = 20_000) -> Path:
    """The tree of `tree`, with what torch's exporter says of each operator: metadata, and the type of its output."""

    def operators() -> Iterator[tuple[NodeProto, str]]:
        chain = _Chain("x")
        for index in range(count):
            node = chain.add(index, f"/encoder/stage.{index // 5_000}/block.{index // 50 % 100}/")
            helper.set_model_props(node, _metadata(index, node.op_type))  # type: ignore[arg-type]  # any message
            yield node, chain.last

    return _write(path, operators(), typed=True)


def _metadata(index: int, op_type: str) -> dict[str, str]:
    stage, block, line = index // 5_000, index // 50 % 100, 40 + index % 50
    scopes = ["", "encoder", f"encoder.stage.{stage}", f"encoder.stage.{stage}.block.{block}"]
    classes = ["models.Model", "models.encoder.Encoder", "models.encoder.Stage", "models.encoder.Block"]
    fx_node = f"{op_type.lower()}_{index}"
    operator = f"aten.{op_type.lower()}.Tensor"
    call = '  File "models/encoder.py", line {}, in forward\n    hidden = self.{}(hidden)\n'
    return {
        "namespace": "/".join(f"{scope}: {name}" for scope, name in zip(scopes, classes, strict=True)) + f"/{fx_node}",
        "pkg.torch.onnx.class_hierarchy": repr([*classes, operator]),
        "pkg.torch.onnx.fx_node": f"%{fx_node} : [num_users=1] = call_function[target=torch.ops.{operator}](args = ())",
        "pkg.torch.onnx.name_scopes": repr([*scopes, fx_node]),
        "pkg.torch.onnx.stack_trace": "".join(call.format(line + row, f"step_{row}") for row in range(6)),
    }


def deep(path: Path, count: int = 100_000) -> Path:
    """``count`` operators in modules 12 deep, 50 in each of the innermost."""
    return _chained(path, count, _deep_scope)


def small_modules(path: Path, count: int = 100_000) -> Path:
    """``count`` operators in modules of 4."""
    return _chained(path, count, lambda index: f"/stage.{index // 400}/block.{index // _PER_SMALL_MODULE}/")


def bodies(path: Path, count: int = 100_000) -> Path:
    """``count`` operators in bodies of ``If`` that stand in each other, 32 levels deep."""
    return _write(path, _towers(count))


def _deep_scope(index: int) -> str:
    leaf = index // _PER_MODULE
    return "".join(f"/level{level}.{leaf >> (_DEPTH - 1 - level)}" for level in range(_DEPTH)) + "/"


def _chained(path: Path, count: int, scope: Callable[[int], str]) -> Path:
    chain = _Chain("x")
    return _write(path, ((chain.add(index, scope(index)), chain.last) for index in range(count)))


def _towers(count: int) -> Iterator[tuple[NodeProto, str]]:
    chain = _Chain("x")
    in_tower = _LEVELS * (_PER_BODY + 2)
    for tower in range(count // in_tower):
        chain.take(f"tower_{tower}")
        yield _tower(tower, in_tower, "x" if not tower else f"tower_{tower - 1}"), chain.last
    for index in range(count // in_tower * in_tower, count):
        yield chain.add(index, ""), chain.last


def _tower(number: int, size: int, value: str) -> NodeProto:
    """An ``If`` whose first body ends with another, and so on; the second bodies have one operator each."""
    chain = _Chain(value)
    first = number * size
    levels: list[tuple[list[NodeProto], str, str]] = []
    for level in range(_LEVELS):
        start = first + level * _PER_BODY
        before = chain.last
        levels.append(([chain.add(index, "") for index in range(start, start + _PER_BODY)], before, chain.last))
    nodes: list[NodeProto] = []
    value = ""
    for level in reversed(range(_LEVELS)):
        operators, before, last = levels[level]
        inner = helper.make_graph(
            [*operators, *nodes], f"then_{number}_{level}", [], [ValueInfoProto(name=value or last)]
        )
        value = f"tower_{number}" if not level else f"level_{number}_{level}"
        other = helper.make_node("Neg", [before], [f"other_{number}_{level}"], name=f"neg_{number}_{level}")
        outer = helper.make_graph([other], f"else_{number}_{level}", [], [ValueInfoProto(name=other.output[0])])
        name = f"if_{number}_{level}"
        nodes = [helper.make_node("If", ["yes"], [value], name=name, then_branch=inner, else_branch=outer)]
    return nodes[0]


def _write(path: Path, operators: Iterable[tuple[NodeProto, str]], *, typed: bool = False) -> Path:
    """Writes a model; each operator comes with the value that is the model's output if it is the last.

    ``typed`` adds the types of all values.
    """
    pieces: list[bytes] = []
    types: list[bytes] = []
    output = "x"
    rest = iter(operators)
    while some := list(islice(rest, _AT_ONCE)):
        nodes = [node for node, _ in some]
        pieces.append(GraphProto(node=nodes).SerializeToString())
        if typed:
            values = [_value(name) for node in nodes for name in node.output]
            types.append(GraphProto(value_info=values).SerializeToString())
        output = some[-1][1]
    constants = [
        helper.make_tensor("factor", TensorProto.FLOAT, [], [0.5]),
        helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
    ]
    pieces.append(helper.make_graph([], "many", [_value("x")], [_value(output)], constants).SerializeToString())
    pieces += types  # by number of the field, as protobuf writes
    before, after = model_around(sum(map(len, pieces)), _OPSET)
    with path.open("wb") as file:
        file.writelines([before, *pieces, after])
    return path


def _value(name: str) -> ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, _VECTOR)
