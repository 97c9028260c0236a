"""A diff names what was changed, and nothing else."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

import graphml_onnx
from graphml_onnx.graph.statistics import _in_step
from tests.cli.g2o_process import run
from tests.graph.models import with_body

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

FIXTURES = Path(__file__).parents[2] / "fixtures" / "htp"


def layers(count: int, *, named: bool = True) -> onnx.ModelProto:
    """Layers of a MatMul, an Add of the residue, and a LeakyRelu, each with a weight and an alpha of its own."""
    nodes, weights, last = [], [], "x"
    for i in range(count):
        scope = f"/enc/layer.{i}"
        names = [f"{scope}/{kind}" if named else "" for kind in ("MatMul", "Add", "act")]
        weights.append(numpy_helper.from_array(np.full((4, 4), i, np.float32), f"enc.layer.{i}.weight"))
        nodes += [
            helper.make_node("MatMul", [last, f"enc.layer.{i}.weight"], [f"{scope}/mm"], name=names[0]),
            helper.make_node("Add", [f"{scope}/mm", last], [f"{scope}/sum"], name=names[1]),
            helper.make_node("LeakyRelu", [f"{scope}/sum"], [f"{scope}/out"], name=names[2], alpha=i / 64),
        ]
        last = f"{scope}/out"
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [value("x", TensorProto.FLOAT, [1, 4])], [value(last, TensorProto.FLOAT, [1, 4])], weights
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def insert(model: onnx.ModelProto, layer: int) -> tuple[str, str]:
    act = next(i for i, node in enumerate(model.graph.node) if node.name == f"/enc/layer.{layer}/act")
    scope = f"/enc/layer.{layer}"
    taken = model.graph.node[act].input[0]
    model.graph.node[act].input[0] = f"{scope}/id"
    model.graph.node.insert(act, helper.make_node("Identity", [taken], [f"{scope}/id"], name=f"{scope}/Identity"))
    return "added", f"{scope}/Identity"


def remove(model: onnx.ModelProto, layer: int) -> tuple[str, str]:
    at = next(i for i, node in enumerate(model.graph.node) if node.name == f"/enc/layer.{layer}/Add")
    model.graph.node[at + 1].input[0] = f"/enc/layer.{layer}/mm"
    del model.graph.node[at]
    return "removed", f"/enc/layer.{layer}/Add"


def attribute(model: onnx.ModelProto, layer: int) -> tuple[str, str]:
    name = f"/enc/layer.{layer}/act"
    next(node for node in model.graph.node if node.name == name).attribute[0].f += 1
    return "changed", name


def weight(model: onnx.ModelProto, layer: int) -> tuple[str, str]:
    tensor = model.graph.initializer[layer]
    raw = bytearray(tensor.raw_data)
    raw[5] ^= 1
    tensor.raw_data = bytes(raw)
    return "changed", tensor.name


def rename(model: onnx.ModelProto, layer: int) -> tuple[str, str]:
    name = f"/enc/layer.{layer}/MatMul"
    next(node for node in model.graph.node if node.name == name).name = f"/enc/layer.{layer}/Product"
    return "renamed", f"/enc/layer.{layer}/Product"


EDITS = (insert, remove, attribute, weight, rename)
OPPOSITE = {"added": "removed", "removed": "added"}


def found(old: onnx.ModelProto, new: onnx.ModelProto) -> set[tuple[str, str]]:
    changes = graphml_onnx.diff(graphml_onnx.open(old), graphml_onnx.open(new)).changes
    assert len(set(changes)) == len(changes)
    return {(change.kind, change.name) for change in changes}


@given(seed=st.integers(0, 10**6), count=st.integers(0, 6))
def test_a_diff_names_each_edit_and_nothing_else(seed: int, count: int) -> None:
    source = random.Random(seed)
    old, new = layers(6), layers(6)
    chosen = source.sample([(edit, layer) for edit in EDITS for layer in range(6)], count)
    edits = {edit(new, layer) for edit, layer in sorted(chosen, key=lambda pair: EDITS.index(pair[0]), reverse=True)}

    assert found(old, new) == edits
    assert {kind for kind, _ in found(new, old)} == {OPPOSITE.get(kind, kind) for kind, _ in edits}
    assert len(found(new, old)) == len(edits)


def anonymous(model: onnx.ModelProto, seed: int) -> onnx.ModelProto:
    """Without names of operators, with others for all tensors but the ends."""
    source = random.Random(seed)
    names = {value.name: value.name for value in (*model.graph.input, *model.graph.output)} | {"": ""}
    for node in model.graph.node:
        node.name = ""
        for side in (node.input, node.output):
            side[:] = [names.setdefault(name, f"t{source.randrange(10**9)}") for name in side]
    for tensor in model.graph.initializer:
        tensor.name = names[tensor.name]
    return model


@given(seed=st.integers(0, 10**6), count=st.integers(0, 4), alike=st.booleans())
def test_edits_are_found_where_nothing_has_the_same_name(seed: int, count: int, alike: bool) -> None:
    """By the content of weights, the look of operators and their neighbours, also where all layers look the same."""
    source = random.Random(seed)
    old, new = layers(6), layers(6)
    for model in (old, new):
        model.graph.node[-1].output[0] = model.graph.output[0].name = "y"
        for node in model.graph.node:
            for found_in in node.attribute:
                found_in.f = 0.5 if alike else found_in.f
    chosen = source.sample([(edit, layer) for edit in (insert, remove, attribute, weight) for layer in range(6)], count)
    chosen.sort(key=lambda pair: EDITS.index(pair[0]), reverse=True)
    kinds = sorted(edit(new, layer)[0] for edit, layer in chosen)
    sides = [graphml_onnx.open(anonymous(model, number)) for number, model in enumerate((old, new))]

    there, back = (graphml_onnx.diff(*pair, ignore=["names"]).changes for pair in (sides, sides[::-1]))

    assert sorted(change.kind for change in there) == kinds
    assert sorted(change.kind for change in back) == sorted(OPPOSITE.get(kind, kind) for kind in kinds)


@pytest.mark.parametrize("named", [True, False])
def test_a_model_is_the_same_as_itself_in_any_order_and_form(named: bool, tmp_path: Path) -> None:
    model = layers(4, named=named)
    onnx.save(model, tmp_path / "a.onnx")
    graphml_onnx.encode(tmp_path / "a.onnx", tmp_path / "a.graphml")
    for tensor in model.graph.initializer:
        tensor.CopyFrom(helper.make_tensor(tensor.name, 1, [4, 4], numpy_helper.to_array(tensor).ravel().tolist()))
    onnx.save(model, tmp_path / "b.onnx")

    assert graphml_onnx.diff(tmp_path / "a.onnx", tmp_path / "a.graphml").is_empty
    assert graphml_onnx.diff(tmp_path / "a.graphml", tmp_path / "b.onnx").is_empty


def test_a_layer_whose_names_all_changed_is_renamed(tmp_path: Path) -> None:
    old, new = layers(5), layers(5)
    for node in new.graph.node:
        for field in (node.input, node.output):
            field[:] = [name.replace("/enc/layer.2/", "/enc/middle/") for name in field]
        node.name = node.name.replace("/enc/layer.2/", "/enc/middle/")

    changes = graphml_onnx.diff(graphml_onnx.open(old), graphml_onnx.open(new)).changes

    assert {change.kind for change in changes} == {"renamed", "moved"}
    assert {change.module for change in changes} == {"enc.middle"}
    assert len(changes) == 6


def renamed(graph: onnx.GraphProto) -> None:
    """Gives all that has a name another one, in bodies too, and takes the names of operators away."""
    for node in graph.node:
        node.name = ""
        for field in (node.input, node.output):
            field[:] = [f"new {name}" if name else "" for name in field]
        for attribute in node.attribute:
            if attribute.HasField("g"):
                renamed(attribute.g)
    for values in (graph.input, graph.output, graph.initializer):
        for value in values:
            value.name = f"new {value.name}"
    for sparse in graph.sparse_initializer:
        sparse.values.name = f"new {sparse.values.name}"


@pytest.mark.parametrize("make", [lambda: layers(5), with_body])
def test_a_model_whose_names_all_changed_is_renamed(make: Callable[[], onnx.ModelProto]) -> None:
    """Its inputs too: those of operators, and those that only a body takes."""
    old, new = make(), make()
    renamed(new.graph)

    for one, other in ((old, new), (new, old)):
        changes = graphml_onnx.diff(graphml_onnx.open(one), graphml_onnx.open(other)).changes
        assert {change.kind for change in changes} <= {"renamed", "moved"}
        assert {change.name for change in changes if change.subject == "input"} == {v.name for v in other.graph.input}


def test_functions_are_in_the_order_of_the_models() -> None:
    """Not in that of a set, which is another in each run."""
    old, new = with_body(), with_body()
    for model, letter in ((old, "f"), (new, "g")):
        for i in range(8):
            model.functions.add().CopyFrom(model.functions[0])
            model.functions[-1].name = f"{letter}{i}"

    changes = graphml_onnx.diff(graphml_onnx.open(old), graphml_onnx.open(new)).changes

    assert [change.name for change in changes] == [f"own::{letter}{i}" for letter in "fg" for i in range(8)]


def test_an_input_of_another_type_is_another_input() -> None:
    old, new = layers(2), layers(2)
    new.graph.input[0].name = new.graph.node[0].input[0] = new.graph.node[1].input[1] = "other"
    new.graph.input[0].type.tensor_type.elem_type = TensorProto.DOUBLE

    assert {("removed", "x"), ("added", "other")} <= found(old, new)


def test_a_layer_that_was_added_is_added() -> None:
    old, new = layers(3), layers(4)
    old.graph.output[0].name = new.graph.output[0].name = "y"
    old.graph.node[-1].output[0] = new.graph.node[-1].output[0] = "y"

    assert {("added", "/enc/layer.3/MatMul"), ("added", "/enc/layer.3/Add"), ("added", "enc.layer.3.weight")} <= found(
        old, new
    )


def test_bodies_and_functions_are_compared() -> None:
    old, new = with_body(), with_body()
    new.graph.node[2].attribute[0].g.node[1].op_type = "Abs"
    new.functions[0].node[0].op_type = "Mul"

    names = {(change.kind, change.op_type) for change in graphml_onnx.diff(*map(graphml_onnx.open, (old, new))).changes}

    assert {kind for kind, _ in names} <= {"added", "removed", "changed"}
    assert {("added", "Abs"), ("added", "Mul"), ("removed", "Add")} <= names


def test_model_fields_inputs_and_opsets_are_compared() -> None:
    old, new = layers(1), layers(1)
    new.producer_name = "someone"
    new.opset_import[0].version = 18
    new.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    changes = graphml_onnx.diff(graphml_onnx.open(old), graphml_onnx.open(new)).changes

    assert [(c.subject, c.name, [d[0] for d in c.details]) for c in changes] == [
        ("model", "g", ["producer_name", "opset ai.onnx"]),
        ("input", "x", ["type"]),
    ]


def test_two_exports_of_one_model_correspond() -> None:
    """What both exporters wrote of the convolutions is matched, although no name and few attributes are the same."""
    paths = [FIXTURES / f"winml-resnet-mini-{exporter}" / "model.onnx" for exporter in ("torchscript", "dynamo")]
    changes = graphml_onnx.diff(*paths).changes
    whole = [c.op_type for c in changes if c.subject == "operator" and c.kind in ("added", "removed")]

    assert (
        sorted(whole) == ["Flatten", "GlobalAveragePool", *["Identity"] * 4, "ReduceMean"] or whole.count("Conv") == 0
    )


def test_the_command_groups_by_module_and_says_by_its_code_whether_there_is_a_difference(tmp_path: Path) -> None:
    model = layers(3)
    onnx.save(model, tmp_path / "a.onnx")
    insert(model, 1)
    onnx.save(model, tmp_path / "b.onnx")

    same = run(tmp_path, "diff", "a.onnx", "a.onnx")
    differ = run(tmp_path, "diff", "a.onnx", "b.onnx")
    document = json.loads(run(tmp_path, "diff", "a.onnx", "b.onnx", "--json").out)

    assert (same.code, same.out) == (0, "the models are the same\n")
    assert differ.code == 1
    assert differ.out == (
        "enc.layer.1: 1 added\n"
        "  + Identity '/enc/layer.1/Identity': /enc/layer.1/sum -> /enc/layer.1/id\n"
        "1 difference: 1 added\n"
    )
    assert document["counts"] == {"added": 1}
    assert run(tmp_path, "diff", "a.onnx", "b.onnx", "--module", "enc.layer.0").code == 0
    assert run(tmp_path, "diff", "a.onnx", "b.onnx", "--module", "enc.layer.9").code == 2
    assert run(tmp_path, "diff", "a.onnx", "none.onnx").code == 66
    assert run(tmp_path, "diff", "a.onnx", "b.onnx", "--ignore", "all").code == 2


def test_stats_say_how_far_weights_are_apart() -> None:
    old, new = layers(3), layers(3)
    values = numpy_helper.to_array(new.graph.initializer[2]).copy()
    values[1, 1] += 0.5
    values[2, 2] = np.nan
    new.graph.initializer[2].CopyFrom(numpy_helper.from_array(values, new.graph.initializer[2].name))
    with_stats = graphml_onnx.diff(graphml_onnx.open(old), graphml_onnx.open(new), stats=True).changes
    without = graphml_onnx.diff(graphml_onnx.open(old), graphml_onnx.open(new)).changes

    (change,) = with_stats
    assert change.values is not None
    assert (change.values.count, change.values.changed, change.values.largest) == (16, 2, 0.5)
    assert change.values.relative == pytest.approx(0.5 / np.sqrt(15 * 4))
    assert str(change.values) == "2 of 16 values, by up to 0.5, 6.45% of the norm"
    assert [c.values for c in without] == [None]


@given(st.lists(st.integers(0, 5)), st.lists(st.integers(0, 5)))
def test_streams_of_elements_go_in_step(one: list[int], other: list[int]) -> None:
    least = min(sum(one), sum(other))
    pairs = list(_in_step(iter(pieces(one)), iter(pieces(other))))

    assert all(left.size == right.size for left, right in pairs)
    for side in zip(*pairs, strict=True):
        assert np.concatenate(side).tolist() == [*range(least)]


def test_bytes_that_two_models_share_are_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = layers(2), layers(2)
    new.graph.node[0].doc_string = "d"
    for name, model in (("old", old), ("new", new)):
        onnx.save(
            model, tmp_path / f"{name}.onnx", save_as_external_data=True, location=f"{name}.bin", size_threshold=0
        )
    content = (tmp_path / "new.onnx").read_bytes().replace(b"new.bin", b"old.bin")
    (tmp_path / "shared.onnx").write_bytes(content)
    expected = [("changed", "/enc/layer.0/MatMul")]

    assert [
        (c.kind, c.name) for c in graphml_onnx.diff(tmp_path / "old.onnx", tmp_path / "new.onnx").changes
    ] == expected
    with (tmp_path / "new.bin").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\1")
    found = graphml_onnx.diff(tmp_path / "old.onnx", tmp_path / "new.onnx").changes
    assert [(c.kind, c.subject) for c in found] == [("changed", "parameter"), ("changed", "operator")]
    monkeypatch.setattr("graphml_onnx.graph.weights.TensorData.chunks", None)
    with graphml_onnx.open(tmp_path / "old.onnx") as left, graphml_onnx.open(tmp_path / "shared.onnx") as right:
        assert [(c.kind, c.name) for c in graphml_onnx.diff(left, right).changes] == expected
    (tmp_path / "old.bin").unlink()
    with pytest.raises(graphml_onnx.InputError, match=r"external data of tensor .* no such file"):
        graphml_onnx.diff(tmp_path / "old.onnx", tmp_path / "shared.onnx")


def pieces(sizes: list[int]) -> list[np.ndarray]:
    """The numbers from 0 on, in arrays of these sizes."""
    numbers = np.arange(sum(sizes))
    return [piece for piece in np.split(numbers, np.cumsum(sizes)[:-1]) if piece.size]


def test_a_weight_under_another_name_in_another_place_is_renamed() -> None:
    """Neither its name nor its operators lead to it, only its content."""
    old, new = layers(2), layers(2)
    new.graph.initializer[1].name = "renamed"
    new.graph.node[3].input[1] = "renamed"
    new.graph.node[3].op_type = "Gemm"
    found = graphml_onnx.diff(graphml_onnx.open(old), graphml_onnx.open(new)).changes

    assert [(c.kind, c.name) for c in found if c.subject == "parameter"] == [("renamed", "renamed")]


def _nameless(path: Path, types: Sequence[str]) -> Path:
    """A chain of operators without names and weights; the tensors have names of their own in each file."""
    tensors = ["x", *(f"{path.stem}{number}" for number in range(1, len(types))), "y"]
    nodes = [
        helper.make_node(kind, [taken], [made])
        for kind, taken, made in zip(types, tensors[:-1], tensors[1:], strict=True)
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("x", "y")]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", values[:1], values[1:])), path)
    return path


@pytest.mark.parametrize("places", [[5], [5, 20], [3, 12, 25]])
def test_insertions_into_a_chain_without_names_or_weights_are_all_that_is_added(
    tmp_path: Path, places: list[int]
) -> None:
    types = random.Random(1).choices(["Relu", "Neg", "Abs", "Tanh", "Floor", "Ceil"], k=30)
    edited = types.copy()
    for place in reversed(places):
        edited.insert(place, "Exp")
    found = graphml_onnx.diff(_nameless(tmp_path / "old.onnx", types), _nameless(tmp_path / "new.onnx", edited))
    kinds = Counter(change.kind for change in found.changes if change.subject == "operator")
    assert (kinds["added"], kinds["removed"]) == (len(places), 0)
