"""Where HTP metadata places operators: by tag, and by what else they tell where the tag is not enough."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING

import pytest

from graphml_onnx import preview
from graphml_onnx.hierarchy import Operator, Texts, read_metadata
from tests.hierarchy import htp_samples as samples
from tests.hierarchy.htp_samples import FOLDER, NAMES, metadata, module, sample, scopes, tags

if TYPE_CHECKING:
    from pathlib import Path

build_hierarchy = partial(samples.build_hierarchy, refine=False)
"""What the metadata themselves tell."""

ATTENTION = module(
    "/Bert",
    "",
    module(
        "/Bert/Attention.0",
        "layer.0",
        module("/Bert/Attention.0/Linear", "layer.0.query"),
        module("/Bert/Attention.0/Linear", "layer.0.key"),
        module("/Bert/Attention.0/Linear", "layer.0.value"),
    ),
)
"""Three modules share a tag, as the TorchScript exporter writes it."""

LINEAR = "/Bert/Attention.0/Linear"


def exporter_texts(*scope: str) -> Texts:
    """The metadata_props of an operator in the last of these scopes."""
    return Texts(name_scopes=repr([*scope, "op"]), class_hierarchy=repr(["pkg.Class"] * (len(scope) + 1)))


@pytest.mark.parametrize("name", NAMES)
def test_every_operator_of_a_real_model_lands_in_the_module_that_nodes_names(name: str) -> None:
    operators, given = sample(name).operators, sample(name).metadata
    hierarchy = build_hierarchy(operators, given)
    expected = [given.nodes[operator.name] for operator in operators]
    assert tags(hierarchy) == expected
    assert list(hierarchy.tags) == expected
    assert hierarchy.source == "metadata"
    assert hierarchy.modules == given.modules
    assert hierarchy.rules == {"tag": len(operators)}
    below = [tag.strip("/").count("/") > 0 for tag in expected]
    assert hierarchy.coverage == pytest.approx(100 * sum(below) / len(below))
    assert hierarchy.findings == ()


@pytest.mark.parametrize("name", NAMES)
def test_metadata_comes_before_what_stands_in_the_model(name: str) -> None:
    stripped = [Operator(operator.name) for operator in sample(name).operators]
    given = sample(name).metadata
    assert build_hierarchy(stripped, given) == build_hierarchy(sample(name).operators, given)


@pytest.mark.parametrize("part", ["query", "key", "value"])
def test_the_name_tells_modules_with_the_same_tag_apart(part: str) -> None:
    name = f"/layer.0/{part}/MatMul"
    hierarchy = build_hierarchy([Operator(name)], metadata(ATTENTION, {name: LINEAR}))
    assert scopes(hierarchy) == [f"layer.0.{part}"]
    assert hierarchy.rules == {"tag and name": 1}
    assert hierarchy.coverage == 100.0


def test_the_longest_prefix_of_the_scope_in_the_name_counts() -> None:
    given = metadata(
        module("/A", "", module("/A/B", "b"), module("/A/B", "b.c"), module("/A/B", "b.cd")), {"/b/c/d/Op": "/A/B"}
    )
    assert scopes(build_hierarchy([Operator("/b/c/d/Op")], given)) == ["b.c"]


def test_of_modules_with_the_same_scope_the_first_counts() -> None:
    twins = [module("/A/B.0", "b"), module("/A/C", "b"), module("/A/B.0", "b")]
    given = metadata(module("/A", "", *twins), {"/b/Tagged": "/A/B.0"})
    hierarchy = build_hierarchy([Operator("/b/Tagged"), Operator("/b/Untagged")], given)
    assert list(hierarchy.placement) == [1, 1]
    assert hierarchy.owner("b.weight") == 1


def test_the_exporters_scope_tells_them_apart_before_the_name() -> None:
    operator = Operator("/layer.0/key/MatMul", texts=exporter_texts("", "layer.0", "layer.0.value"))
    hierarchy = build_hierarchy([operator], metadata(ATTENTION, {operator.name: LINEAR}))
    assert scopes(hierarchy) == ["layer.0.value"]


def test_the_first_of_several_is_taken_where_nothing_tells_which() -> None:
    operators = [Operator("MatMul_1"), Operator("/layer.7/dense/MatMul")]
    hierarchy = build_hierarchy(operators, metadata(ATTENTION, dict.fromkeys(["MatMul_1", operators[1].name], LINEAR)))
    assert scopes(hierarchy) == ["layer.0.query", "layer.0.query"]
    assert hierarchy.rules == {"first of tag": 2}
    assert "several modules" in hierarchy.findings[0]


@pytest.mark.parametrize(
    ("tag", "nearest"),
    [
        ("/Bert/Attention.0/Softmax/Deeper", "/Bert/Attention.0"),
        ("/Bert/Attention.01", "/Bert"),
        ("/Bert/Attention", "/Bert"),
    ],
)
def test_an_unknown_tag_leads_to_the_nearest_module_above_by_whole_segments(tag: str, nearest: str) -> None:
    hierarchy = build_hierarchy([Operator("Add"), Operator("Mul")], metadata(ATTENTION, {"Add": tag, "Mul": tag}))
    assert tags(hierarchy) == [nearest, nearest]
    assert list(hierarchy.tags) == [tag, tag]
    assert hierarchy.findings == (
        f"operators whose tag no module has, placed in the nearest module above: 2, for example {json.dumps(tag)}",
    )


@pytest.mark.parametrize("tag", ["/Other/Attention.0", "nonsense", "/"])
def test_a_tag_that_fits_no_module_places_nothing(tag: str) -> None:
    hierarchy = build_hierarchy([Operator("Add"), Operator("/layer.0/Mul")], metadata(ATTENTION, {"Add": tag}))
    assert scopes(hierarchy) == ["", "layer.0"]
    assert hierarchy.findings[0] == (
        "operators whose tag no module has, and none above it, so that the tag does not place them: 1, for example "
        f"{json.dumps(tag)}"
    )


@pytest.mark.parametrize("tag", ["/Bert/Attention.0/", "Bert/Attention.0", "//Bert//Attention.0"])
def test_slashes_at_the_ends_of_a_tag_do_not_count(tag: str) -> None:
    hierarchy = build_hierarchy([Operator("Add")], metadata(ATTENTION, {"Add": tag}))
    assert scopes(hierarchy) == ["layer.0"]
    assert hierarchy.findings == ()


def test_metadata_that_name_no_operator_say_so() -> None:
    hierarchy = build_hierarchy([Operator("/layer.0/Add")], metadata(ATTENTION, {}))
    assert hierarchy.findings[0].code == "metadata-empty"


def test_the_name_also_decides_between_nearest_modules_with_the_same_tag() -> None:
    name = "/layer.0/key/MatMul"
    hierarchy = build_hierarchy([Operator(name)], metadata(ATTENTION, {name: f"{LINEAR}/Unknown"}))
    assert scopes(hierarchy) == ["layer.0.key"]
    assert hierarchy.rules == {"nearest tag": 1}


def test_an_operator_that_nodes_does_not_name_tells_its_own_place() -> None:
    operators = [
        Operator("fused", tag="/Bert/Attention.0"),
        Operator("fused_2", tag="/Bert/Attention.0/Fused"),
        Operator("traced", tag="/Else", texts=exporter_texts("", "layer.0", "layer.0.key", "layer.0.key.deeper")),
        Operator("/layer.0/value/MatMul"),
        Operator("/layer.0/dropout/Identity"),
        Operator("/pooler/MatMul"),
        Operator("/Constant"),
        Operator("Constant_1"),
        Operator(""),
    ]
    hierarchy = build_hierarchy(operators, metadata(ATTENTION, {}))
    assert scopes(hierarchy) == ["layer.0", "layer.0", "layer.0.key", "layer.0.value", "layer.0", "", "", "", ""]
    assert hierarchy.rules == {"own tag": 1, "nearest tag": 1, "scope": 1, "name": 2, "root": 4}
    assert any("left in the root: 4, for example" in finding for finding in hierarchy.findings)


def test_an_unnamed_operator_is_not_looked_up() -> None:
    hierarchy = build_hierarchy([Operator("")], metadata(ATTENTION, {"": LINEAR}))
    assert scopes(hierarchy) == [""]
    assert hierarchy.rules == {"root": 1}


def test_an_empty_tag_is_no_tag() -> None:
    hierarchy = build_hierarchy([Operator("/layer.0/Add", tag="")], metadata(ATTENTION, {"/layer.0/Add": ""}))
    assert scopes(hierarchy) == ["layer.0"]
    assert list(hierarchy.tags) == [None]


def test_operators_with_the_same_name_share_its_place() -> None:
    hierarchy = build_hierarchy([Operator("Add"), Operator("Add")], metadata(ATTENTION, {"Add": "/Bert/Attention.0"}))
    assert scopes(hierarchy) == ["layer.0", "layer.0"]


def test_coverage_is_the_share_that_stands_below_the_root() -> None:
    operators = [Operator("a"), Operator("b"), Operator("c"), Operator("d")]
    given = metadata(ATTENTION, {"a": "/Bert", "b": "/Bert/Attention.0", "c": "/Bert/Unknown"})
    assert build_hierarchy(operators, given).coverage == 25.0


def test_metadata_may_name_operators_that_an_optimisation_removed() -> None:
    hierarchy = build_hierarchy([Operator("a"), Operator("b")], metadata(ATTENTION, dict.fromkeys("abcdefg", "/Bert")))
    assert hierarchy.findings == ()


def test_a_tag_in_the_model_that_is_another_than_in_the_metadata_is_reported() -> None:
    operators = [Operator("a", tag="/Bert/Attention.0"), Operator("b", tag="/Bert")]
    hierarchy = build_hierarchy(operators, metadata(ATTENTION, dict.fromkeys("ab", "/Bert")))
    assert hierarchy.findings == (
        'operators whose tag in the model differs from the metadata; the metadata count: 1, for example "a"',
    )
    assert tags(hierarchy) == ["/Bert", "/Bert"]


def test_metadata_of_another_model_is_reported_and_loses_nothing() -> None:
    operators = sample("winml-resnet-mini-dynamo").operators
    hierarchy = build_hierarchy(operators, sample("modelexport-bert-mini").metadata)
    assert len(hierarchy.placement) == len(operators)
    assert hierarchy.findings[0].startswith(
        'the metadata seem to belong to another model ("models/bert-mini"): they name 0 of the '
    )


def test_metadata_without_modules_leave_the_rest_to_the_model() -> None:
    hierarchy = build_hierarchy([Operator("/a/Add", tag="/A")], metadata({}, {"/a/Add": "/A"}))
    assert scopes(hierarchy) == ["a"]
    assert hierarchy.source == "names"
    assert hierarchy.findings == ("the metadata describe no modules, so the modules come from the model itself",)


def test_metadata_without_modules_have_those_that_their_tags_tell() -> None:
    given = metadata({}, {"Add": "/A/B.b", "Mul": "/A/C.c"})
    hierarchy = build_hierarchy([Operator("Add"), Operator("Mul")], given)
    assert (hierarchy.source, scopes(hierarchy)) == ("metadata", ["b", "c"])


def test_names_refine_what_the_metadata_tell_and_never_move_an_operator_away() -> None:
    given = metadata(ATTENTION, {"/layer.0/query/dense/MatMul": "/Bert/Attention.0", "/other/Add": "/Bert/Attention.0"})
    operators = [Operator("/layer.0/query/dense/MatMul"), Operator("/other/Add")]
    hierarchy = samples.build_hierarchy(operators, given)
    assert scopes(hierarchy) == ["layer.0.query.dense", "layer.0"]
    assert hierarchy.modules[: len(given.modules)] == given.modules
    assert [module.told_by for module in hierarchy.modules[len(given.modules) :]] == ["names"]
    assert hierarchy.rules == {"name": 1, "tag": 1}


def test_flat_modules_without_a_root_leave_the_rest_in_the_model() -> None:
    given = metadata({"encoder": {"class_name": "Encoder"}, "decoder": {"class_name": "Decoder"}}, {})
    hierarchy = build_hierarchy([Operator("/decoder/Add"), Operator("Add")], given)
    assert scopes(hierarchy) == ["decoder", None]


def nested(levels: int) -> bytes:
    """Metadata of one module in the other, and an operator in the innermost."""
    tag = "/M" * levels
    text = '{"class_name": "M", "children": {"M": ' * (levels - 1) + '{"class_name": "M"}' + "}}" * (levels - 1)
    return f'{{"modules": {text}, "nodes": {{"Add": "{tag}"}}}}'.encode()


@pytest.mark.parametrize("levels", [1, 99, 100])
def test_a_hundred_levels_are_kept(levels: int) -> None:
    hierarchy = build_hierarchy([Operator("Add")], read_metadata(nested(levels), None))
    assert len(hierarchy.modules) == levels
    assert list(hierarchy.placement) == [levels - 1]
    assert hierarchy.findings == ()


@pytest.mark.parametrize("levels", [101, 300])
def test_deeper_modules_are_folded_into_their_ancestor(levels: int) -> None:
    hierarchy = build_hierarchy([Operator("Add")], read_metadata(nested(levels), None))
    assert len(hierarchy.modules) == 100
    assert list(hierarchy.placement) == [99]
    assert hierarchy.findings[0].startswith(
        f"modules deeper than 100 levels, folded into their ancestor at that level: {levels - 100}, for example"
    )


def test_folded_modules_keep_their_own_tags_and_scopes() -> None:
    innermost = module("/Unlike/Any/Other", "un.like")
    for level in range(120):
        innermost = module(f"/M{level}", f"s{level}", innermost)
    hierarchy = build_hierarchy(
        [Operator("by_tag"), Operator("/un/like/by_name")], metadata(innermost, {"by_tag": "/Unlike/Any/Other"})
    )
    assert list(hierarchy.placement) == [99, 99]


def test_the_flat_form_is_folded_too() -> None:
    flat = {".".join("m" * (level + 1)): {"class_name": "M"} for level in range(150)}
    hierarchy = build_hierarchy([Operator("/" + "m/" * 150 + "Add")], metadata(flat, {}))
    assert len(hierarchy.modules) == 100
    assert list(hierarchy.placement) == [99]


@pytest.mark.parametrize("name", NAMES)
def test_metadata_of_real_exporters_are_no_finding(name: str, tmp_path: Path) -> None:
    """Biases that are one because they are zero, and a Conv that took in its BatchNorm, contradict nothing."""
    folder = FOLDER / name
    model, given = folder / "model.onnx", folder / "model_htp_metadata.json"
    assert preview(model, tmp_path / "model.graphml", metadata=given).findings == ()
