"""The HTP metadata of an export: complete by its schema, read back as the same tree with the same placement."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from graphml_onnx.errors import MetadataError, UsageError
from graphml_onnx.exporting.metadata import metadata_json
from graphml_onnx.exporting.record import ExportRecord, OperatorRecord, StepRecord
from graphml_onnx.hierarchy import Graph, Hierarchy, Module, Operator, build_hierarchy, check_metadata, read_metadata
from tests.export.export_records import (
    DIRECT,
    FILES,
    NAMES,
    ROOT,
    STARTED,
    child,
    example,
    model,
    record,
    root,
    sample,
    told,
    transformer,
)

DOCUMENTATION = (Path(__file__).parents[2] / "docs" / "htp.md").read_text(encoding="utf-8")


def document(export: ExportRecord) -> Any:
    return json.loads(metadata_json(export, STARTED))


def read_back(export: ExportRecord) -> Hierarchy:
    """The hierarchy of the record's operators by the metadata that is written for it."""
    data = metadata_json(export, STARTED)
    check_metadata(data, None)
    hierarchy = build_hierarchy(
        Graph([Operator(operator.name) for operator in export.operators]), read_metadata(data, None), refine=False
    )
    assert hierarchy.modules == export.modules
    assert hierarchy.findings == ()
    return hierarchy


def placed(export: ExportRecord) -> list[int]:
    """The module of each operator of the record, read back."""
    return list(read_back(export).placement)


@pytest.mark.parametrize(
    ("name", "below_root"),
    [
        ("modelexport-bert-mini", 117 / 156),
        ("modelexport-resnet-mini", 14 / 19),
        ("winml-bert-mini-dynamo", 89 / 92),
        ("winml-resnet-mini-dynamo", 15 / 15),
        ("winml-resnet-mini-torchscript", 14 / 19),
    ],
)
def test_coverage_is_the_share_of_operators_below_the_root_module(name: str, below_root: float) -> None:
    assert read_back(sample(name)).coverage == pytest.approx(100 * below_root)


@pytest.mark.parametrize("name", NAMES)
def test_a_real_model_is_read_back_with_the_same_placement(name: str) -> None:
    export = sample(name)
    assert [operator.name for operator in export.operators] == [node.name for node in model(name).graph.node]
    assert placed(export) == [operator.module for operator in export.operators]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_told_of_a_real_model_is_what_the_sample_tells(name: str) -> None:
    export = sample(name)
    written, given = document(export), told(name)
    assert written["modules"] == given["modules"]
    assert written["nodes"] == given["nodes"]
    assert set(given) == set(written)
    for section in given:
        assert set(given[section]) <= set(written[section]), section
    for step, facts in given["report"]["steps"].items():
        assert set(facts) <= set(written["report"]["steps"][step]), step
    for statistic in ("traced_modules", "onnx_nodes", "tagged_nodes", "coverage_percentage", "module_types"):
        assert written["statistics"][statistic] == given["statistics"][statistic]


def test_a_model_of_five_hundred_modules_is_read_back() -> None:
    export = transformer(100)
    assert placed(export) == [operator.module for operator in export.operators]


def test_siblings_have_keys_of_their_own() -> None:
    modules = [root()]
    for class_name, name in [
        ("Block", "blocks.0"),
        ("Linear", "head"),
        ("Linear", "tail"),
        ("Relu", "act"),
        ("Block", "more.0"),
        ("Norm", "0"),
    ]:
        child(modules, 0, class_name, name)
    operators = [OperatorRecord(f"op{index}", "Add", index, DIRECT) for index in range(len(modules))]
    export = record(tuple(modules), operators)
    assert list(document(export)["modules"]["children"]) == [
        "Block.0",
        "Linear.head",
        "Linear.tail",
        "Relu",
        "Block.more.0",
        "Norm.0",
    ]
    assert placed(export) == list(range(len(modules)))


def test_names_of_any_kind_are_read_back() -> None:
    names = ["/a/b.0/Add", "é", 'quote"', "back\\slash", "a\nb", "\u2028", "💡", " "]
    export = record((root("Ünet"),), [OperatorRecord(name, "Add", 0, ROOT) for name in names])
    assert list(document(export)["nodes"]) == names
    assert placed(export) == [0] * len(names)


def test_the_same_record_and_time_give_the_same_bytes() -> None:
    elsewhere = STARTED.astimezone(timezone(timedelta(hours=9)))
    assert metadata_json(transformer(2), STARTED) == metadata_json(transformer(2), elsewhere)


def test_times_are_utc_and_add_up() -> None:
    written = document(transformer(1))
    steps = written["report"]["steps"]
    assert written["export_context"]["timestamp"] == "2026-11-23T01:13:19.888Z"
    assert written["export_context"]["export_time_seconds"] == 3.0
    assert steps["onnx_export"]["timestamp"] == "2026-11-23T01:13:22.763Z"
    assert datetime.fromisoformat(steps["tag_injection"]["timestamp"]) == STARTED + timedelta(seconds=3)


def test_operators_are_counted_by_match_and_by_rule() -> None:
    tagging = document(transformer(3))["report"]["steps"]["node_tagging"]
    statistics = tagging["statistics"]
    matches = ("direct_matches", "parent_matches", "operation_matches", "root_fallbacks")
    assert [statistics[match] for match in matches] == [20, 0, 0, 1]
    assert sum(statistics[match] for match in matches) == tagging["total_nodes"]
    assert tagging["rules"] == {"root": 1, "scope": 20}


def test_clean_onnx_is_told() -> None:
    export = transformer(1)
    clean = document(replace(export, exporter=replace(export.exporter, embeds_tags=False)))
    assert clean["export_context"]["embed_hierarchy_attributes"] is False
    assert clean["report"]["steps"]["tag_injection"]["tags_stripped"] is True


def test_a_traced_tree_says_so() -> None:
    export = transformer(1)
    traced = document(
        replace(export, exporter=replace(export.exporter, name="torchscript", execution_steps=14, versions={}))
    )
    assert traced["tracing"]["source"] == "trace"
    assert traced["tracing"]["execution_steps"] == 14


def test_a_step_of_another_name_is_kept() -> None:
    export = replace(transformer(1), steps=(StepRecord("weight_loading", 0.25),))
    assert document(export)["report"]["steps"]["weight_loading"]["seconds"] == 0.25


@pytest.mark.parametrize("names", [["Add", "Add"], ["Add", ""], [""]])
def test_operators_that_have_no_name_of_their_own_are_refused(names: list[str]) -> None:
    with pytest.raises(UsageError, match="name"):
        metadata_json(record((root(),), [OperatorRecord(name, "Add", 0, ROOT) for name in names]), STARTED)


def test_modules_at_the_same_scope_are_refused() -> None:
    modules = [root()]
    for _ in range(4):
        child(modules, 0, "Block", "blocks.0")
    with pytest.raises(UsageError, match=r"blocks\.0"):
        metadata_json(record(tuple(modules), []), STARTED)


@pytest.mark.parametrize(
    ("export", "place"),
    [
        (record((Module(None, "Net", "", "", "Net"),), []), "modules.traced_tag"),
        (record((Module(None, "", "/Net", "", "Net"),), []), "model.class_name"),
        (replace(transformer(1), files=FILES[1:]), "outputs"),
        (replace(transformer(1), steps=(StepRecord("onnx_export", -1.0),)), "export_context.export_time_seconds"),
    ],
)
def test_a_record_that_the_schema_refuses_gives_nothing(export: ExportRecord, place: str) -> None:
    with pytest.raises(MetadataError) as caught:
        metadata_json(export, STARTED)
    assert caught.value.place == place


def test_modules_nested_beyond_all_reason_are_refused() -> None:
    deep = (Module(level, "M", "/M", f"m{level}", "m") for level in range(5_000))
    with pytest.raises(MetadataError, match="deep"):
        metadata_json(record((root(), *deep), []), STARTED)


def test_what_is_written_is_valid_by_another_validator(schema: dict[str, Any]) -> None:
    jsonschema.Draft202012Validator(schema).validate(document(transformer(2)))


def test_the_example_in_the_documentation_is_what_is_written(schema: dict[str, Any]) -> None:
    (text,) = re.findall(r"^```json\n(.*?)\n```$", DOCUMENTATION, re.DOTALL | re.MULTILINE)
    assert json.loads(text) == document(example())
    check_metadata(text.encode(), None)
    jsonschema.Draft202012Validator(schema).validate(json.loads(text))


def test_the_documentation_names_every_member_of_the_schema(schema: dict[str, Any]) -> None:
    named = set(re.findall(r"`(\w+)`", DOCUMENTATION))
    members = {member for part in (schema, *schema["$defs"].values()) for member in _members(part)}
    assert members - named == set()


def _members(part: dict[str, Any]) -> Iterator[str]:
    for name, inner in part.get("properties", {}).items():
        yield name
        yield from _members(inner)
    for inner in part.get("allOf", []):
        yield from _members(inner)
