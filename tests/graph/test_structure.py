"""Modules that look the same are shown as one with its count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest

import graphml_onnx
from graphml_onnx.graph import inspection, structure
from graphml_onnx.graph.inspection import Repeats, alike, folded_shares, module_shares, sums_of
from graphml_onnx.graph.structure import ModuleLook
from tests.common.command import in_process
from tests.running.models import LAYERS, chain

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence
    from pathlib import Path

    from graphml_onnx.graph.elements import Module, Operator


def edited(path: Path, edit: Callable[[onnx.ModelProto], None]) -> Path:
    model = onnx.load(path)
    edit(model)
    onnx.save(model, path)
    return path


def rows(path: Path) -> list[tuple[str, int]]:
    with graphml_onnx.open(path) as graph:
        return [(row.share.name, len(row.modules)) for row in folded_shares(graph.root)]


def test_equal_siblings_are_one_row_with_the_sum_of_all(tmp_path: Path) -> None:
    path = chain(tmp_path)
    assert rows(path) == [("", 1), ("encoder", 1), ("encoder.layer.0", LAYERS)]
    with graphml_onnx.open(path) as graph:
        folded = folded_shares(graph.root)[-1].share
        each = [share for share in module_shares(graph.root) if share.name.startswith("encoder.layer.")]
    assert folded.operators == sum(share.operators for share in each)
    assert folded.parameters == sum(share.parameters for share in each)
    assert folded.nbytes == sum(share.nbytes for share in each)


def other_type(model: onnx.ModelProto) -> None:
    model.graph.node[3 * 2 + 2].op_type = "Relu"


def other_attribute(model: onnx.ModelProto) -> None:
    node = model.graph.node[3 * 2 + 2]
    node.op_type = "Elu"
    model.graph.node[3 * 3 + 2].op_type = "Elu"
    node.attribute.append(onnx.helper.make_attribute("alpha", 0.5))


def other_flow(model: onnx.ModelProto) -> None:
    node = model.graph.node[3 * 2 + 1]
    node.input[:] = [node.input[1], node.input[0]]


def other_shape(model: onnx.ModelProto) -> None:
    bias = next(tensor for tensor in model.graph.initializer if tensor.name == "b2")
    bias.CopyFrom(onnx.numpy_helper.from_array(np.zeros((1, 8), np.float32), "b2"))


@pytest.mark.parametrize("edit", [other_type, other_attribute, other_flow, other_shape])
def test_what_looks_otherwise_stands_alone(tmp_path: Path, edit: Callable[[onnx.ModelProto], None]) -> None:
    path = edited(chain(tmp_path), edit)
    counts = [count for name, count in rows(path) if name.startswith("encoder.layer.")]
    assert counts in ([2, 1, LAYERS - 3], [2, 1, 1, LAYERS - 4])


def other_values(model: onnx.ModelProto) -> None:
    for tensor in model.graph.initializer:
        if tensor.name == "b2":
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.ones(8, np.float32), "b2"))


def no_names(model: onnx.ModelProto) -> None:
    for number, node in enumerate(model.graph.node):
        for place, name in enumerate(node.output):
            for other in model.graph.node:
                other.input[:] = [f"t{number}.{place}" if taken == name else taken for taken in other.input]
            if name != "y":
                node.output[place] = f"t{number}.{place}"


@pytest.mark.parametrize("edit", [other_values, no_names])
def test_values_and_names_do_not_matter(tmp_path: Path, edit: Callable[[onnx.ModelProto], None]) -> None:
    path = edited(chain(tmp_path), edit)
    assert rows(path)[-1] == ("encoder.layer.0", LAYERS)


def test_the_look_has_no_names(tmp_path: Path) -> None:
    with graphml_onnx.open(chain(tmp_path)) as graph:
        first, *others = (ModuleLook(graph.module(f"encoder.layer.{number}")) for number in range(LAYERS))
        assert all(other == first for other in others)


def chains(path: Path, different: int) -> Path:
    """Two chains of 60 operators, of which one operator differs."""
    nodes = []
    name = "x"
    for chain_number in range(2):
        for step in range(60):
            kind = "Neg" if chain_number and step == different else "Relu"
            made = f"/chain.{chain_number}/t{step}"
            nodes.append(onnx.helper.make_node(kind, [name], [made], f"/chain.{chain_number}/part/op_{step}"))
            name = made
    return saved(path, nodes, name)


def saved(path: Path, nodes: Sequence[onnx.NodeProto], last: str) -> Path:
    """Writes a model from x to the last tensor."""
    ends = [onnx.helper.make_tensor_value_info(end, onnx.TensorProto.FLOAT, [2]) for end in ("x", last)]
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph(nodes, path.stem, ends[:1], ends[1:])), path)
    return path


@pytest.mark.parametrize(("different", "reads_all"), [(3, False), (40, True), (-1, True)])
def test_the_rest_is_looked_at_only_if_the_start_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, different: int, reads_all: bool
) -> None:
    seen: list[int] = []
    whole = structure._look_of_operators

    def noted(operators: Sequence[Operator]) -> Hashable:
        seen.append(len(operators))
        return whole(operators)

    monkeypatch.setattr(structure, "_look_of_operators", noted)
    with graphml_onnx.open(chains(tmp_path / "model.onnx", different)) as graph:
        first, second = (ModuleLook(graph.module(f"chain.{number}")) for number in range(2))
        assert (first == second) == (different == -1)
    assert (60 in seen) == reads_all


def nested(path: Path) -> Path:
    """Blocks of two kinds, with layers in them."""
    nodes = []
    name = "x"
    for block in range(4):
        for layer in range(3):
            for step in ("Relu", "Exp" if block == 3 and layer == 2 else "Neg"):
                made = f"/block.{block}/layer.{layer}/{step}_output_0"
                nodes.append(onnx.helper.make_node(step, [name], [made], f"/block.{block}/layer.{layer}/{step}"))
                name = made
    return saved(path, nodes, name)


def test_repeats_within_repeats_are_looked_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with graphml_onnx.open(nested(tmp_path / "model.onnx")) as graph:
        sums = sums_of(graph.root)
        expected = {module: list(alike(module.children, sums)) for module in graph.root.walk()}
        looked: list[str] = []

        def noted(module: Module) -> ModuleLook:
            looked.append(module.path)
            return ModuleLook(module)

        monkeypatch.setattr(inspection, "ModuleLook", noted)
        repeats = Repeats(sums)
        assert {module: repeats.within(module) for module in graph.root.walk()} == expected
    assert [len(group) for group in expected[graph.root]] == [3, 1]
    assert [path for path in looked if "layer" in path] == [
        f"block.{block}.layer.{layer}" for block in (0, 3) for layer in range(3)
    ]


def test_the_command(tmp_path: Path) -> None:
    chain(tmp_path)
    folded = in_process(tmp_path, "inspect", "model.onnx").out
    assert f"layer.0 … layer.{LAYERS - 1} ({LAYERS} alike)" in folded
    for arguments in (["--unfold"], ["--stats"]):
        shown = in_process(tmp_path, "inspect", "model.onnx", *arguments).out
        assert [line.split()[0] for line in shown.splitlines() if line.strip().startswith("layer.")] == [
            f"layer.{number}" for number in range(LAYERS)
        ]
