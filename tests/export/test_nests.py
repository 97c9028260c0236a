"""Random nests of modules: shared ones, repeated calls, names that collide. Each operator tells who ran it.

Every call of `forward` multiplies by numbers that only its module uses, so that the truth does not come from any name.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import graphml_onnx

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from torch import Tensor, nn  # noqa: E402

NAMES = ("a", "a_1", "a_2", "proj", "proj_1", "layer", "self", "Mul", "0", "layer_0", "x")


class Part(nn.Module):
    """Multiplies by its own number before and after each of its calls of other modules."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.factor = 1 + number / 64
        self.calls: list[str] = []

    def forward(self, x: Tensor) -> Tensor:
        x = x * self.factor
        for path in self.calls:
            x = self.get_submodule(path)(x) * self.factor
        return x


def nest(seed: int, most: int) -> tuple[Part, dict[float, str]]:
    """A random nest of at most some modules; and by its number the first path of each."""
    chance = random.Random(seed)
    parts = [Part(0)]
    while len(parts) < most:
        around, part = chance.choice(parts), Part(len(parts))
        kind, name = chance.randrange(4), chance.choice(NAMES)
        if name in dict(around.named_children()) or hasattr(around, name):
            continue
        inner = chance.choice(parts[1:]) if len(parts) > 2 and chance.random() < 0.2 else part  # one that is there
        if any(inner is outer or around in outer.modules() for outer in inner.modules()):
            inner = part  # none within itself
        held: list[nn.Module] = [inner, *([inner] if chance.random() < 0.2 else [])]
        holder: nn.Module = inner
        paths = [name]
        if kind == 1:
            holder, paths = nn.ModuleList(held), [f"{name}.{index}" for index in range(len(held))]
        elif kind == 2:
            keys = chance.sample(NAMES, len(held))
            holder = nn.ModuleDict(dict(zip(keys, held, strict=True)))
            paths = [f"{name}.{key}" for key in keys]
        around.add_module(name, holder)
        around.calls += paths * chance.choice((1, 1, 1, 2, 3))
        chance.shuffle(around.calls)
        if inner is part:
            parts.append(part)
    return parts[0], {part.factor: path for path, part in parts[0].named_modules() if isinstance(part, Part)}


def misplaced(seed: int, most: int, exporter: Any, folder: Path) -> tuple[int, list[str]]:
    """Exports a nest: how many operators it has, and those in another module than the one that ran them.

    A constant is left out: nothing runs it.
    """
    model, path_of = nest(seed, most)
    result = graphml_onnx.export(
        model, folder / "model.onnx", inputs=torch.ones(2, 3), exporter=exporter, overwrite=True
    )
    graph = onnx.load(result.onnx).graph
    numbers = {weight.name: numpy_helper.to_array(weight) for weight in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant":
            numbers[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    modules = result.record.modules
    wrong: list[str] = []
    operators = [operator for operator in result.record.operators if operator.op_type == "Mul"]
    nodes = [node for node in graph.node if node.op_type == "Mul"]
    for node, operator in zip(nodes, operators, strict=True):
        [factor] = [float(np.float32(numbers[name])) for name in node.input if name in numbers]
        told = modules[operator.module]
        if told.scope != path_of[factor] and operator.rule.match == "direct":
            wrong.append(f"{node.name}: {told.scope!r} for {path_of[factor]!r} by {operator.rule.name}")
    return len(nodes), wrong


CASES = [
    pytest.param(exporter, seed, most, marks=() if seed < 0 else pytest.mark.slow)
    for exporter, seeds, most in (("torchscript", range(-2, 100), 24), ("dynamo", range(-1, 6), 12))
    for seed in seeds
]


@pytest.mark.parametrize(("exporter", "seed", "most"), CASES)
def test_no_operator_of_a_nest_is_said_to_be_where_it_is_not(
    exporter: Any, seed: int, most: int, tmp_path: Path
) -> None:
    count, wrong = misplaced(seed, most, exporter, tmp_path)

    assert count >= most
    assert wrong == []
