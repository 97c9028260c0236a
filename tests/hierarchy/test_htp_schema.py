"""The JSON Schema of HTP metadata: both dialects and both forms are valid, and whatever is wrong is named."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator
from importlib import resources
from typing import Any

import jsonschema
import pytest

from graphml_onnx.errors import MetadataError
from graphml_onnx.hierarchy import check_metadata, read_metadata
from tests.hierarchy.htp_samples import NAMES, build_hierarchy, metadata, module, sample

Path = tuple[str | int, ...]

SCHEMA: dict[str, Any] = json.loads(
    resources.files("graphml_onnx.hierarchy").joinpath("htp_metadata.schema.json").read_text(encoding="utf-8")
)
OTHER_VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

OPTIONAL_SECTIONS = ("tracing", "outputs", "report", "statistics")
OPTIONAL = {
    *((section,) for section in OPTIONAL_SECTIONS),
    ("tracing", "source"),
    ("tracing", "model_type"),
    ("tracing", "task"),
    ("outputs", "report"),
    ("report", "steps", "*"),
    ("report", "steps", "input_generation", "model_type"),
    ("report", "steps", "input_generation", "task"),
    ("report", "steps", "hierarchy_building", "source"),
    ("tracing", "inputs", "*"),
    ("report", "steps", "input_generation", "inputs", "*"),
}
"""Members that may be missing; a star stands for any name."""


def document(name: str) -> dict[str, Any]:
    return copy.deepcopy(sample(name).json)


def few_nodes(name: str) -> dict[str, Any]:
    """A sample of which one member after the other can be spoiled in reasonable time."""
    value = document(name)
    return value | {"nodes": dict(list(value["nodes"].items())[:3])}


def refusal(value: object) -> MetadataError | None:
    try:
        check_metadata(json.dumps(value).encode(), "model.json")
    except MetadataError as error:
        return error
    return None


def written(path: Path) -> str:
    keys = [f"[{key}]" if isinstance(key, int) else f".{key}" if key.isidentifier() else f'["{key}"]' for key in path]
    if len(keys) > 20:
        keys[10:-10] = ["…"]
    return "".join(keys).removeprefix(".")


def members(value: object, path: Path = ()) -> Iterator[Path]:
    """The paths of all members of all objects."""
    for key, member in value.items() if isinstance(value, dict) else ():
        yield (*path, key)
        yield from members(member, (*path, key))


def is_required(path: Path) -> bool:
    if path[0] == "nodes":
        return len(path) == 1
    if path[0] == "modules":
        return len(path) == 1 or path[-1] in ("class_name", "traced_tag", "scope")
    return path not in OPTIONAL and (*path[:-1], "*") not in OPTIONAL


def holder(value: Any, path: Path) -> Any:
    for key in path[:-1]:
        value = value[key]
    return value


def flattened(nested: dict[str, Any]) -> dict[str, Any]:
    flat, waiting = {}, [nested]
    for entry in waiting:
        flat[entry["scope"]] = {key: entry[key] for key in ("class_name", "traced_tag", "execution_order")}
        waiting.extend(entry.get("children", {}).values())
    return flat


def test_the_schema_is_one_of_draft_2020_12() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("name", NAMES)
def test_the_samples_are_valid(name: str) -> None:
    assert refusal(document(name)) is None
    OTHER_VALIDATOR.validate(document(name))


@pytest.mark.parametrize("name", NAMES)
def test_the_flat_form_is_valid(name: str) -> None:
    value = document(name)
    value["modules"] = flattened(value["modules"])
    assert refusal(value) is None
    OTHER_VALIDATOR.validate(value)


@pytest.mark.parametrize("name", NAMES)
def test_older_files_may_lack_sections(name: str) -> None:
    value = {key: member for key, member in document(name).items() if key not in OPTIONAL_SECTIONS}
    assert refusal(value) is None
    assert read_metadata(json.dumps(value).encode(), None).findings == ()


@pytest.mark.parametrize("name", NAMES)
def test_every_required_member_is_missed_with_the_path_of_its_object(name: str) -> None:
    value = few_nodes(name)
    for path in [*members(value)]:
        place = holder(value, path)
        order = dict(place)
        del place[path[-1]]
        error = refusal(value)
        if is_required(path):
            assert error is not None, path
            assert (error.place or "", error.message) == (written(path[:-1]), f"has no {path[-1]!r}")
            assert error.file == "model.json"
            assert error.remedy
        else:
            assert error is None, path
        assert OTHER_VALIDATOR.is_valid(value) == (error is None), path
        place.clear()
        place.update(order)


@pytest.mark.parametrize("name", NAMES)
def test_every_member_of_another_type_is_named_by_its_path(name: str) -> None:
    value = few_nodes(name)
    for path in [*members(value)]:
        place = holder(value, path)
        before = place[path[-1]]
        place[path[-1]] = [[]]
        error = refusal(value)
        assert error is not None, path
        assert (error.place or "").startswith(written(path)), path
        assert not OTHER_VALIDATOR.is_valid(value)
        place[path[-1]] = before


@pytest.mark.parametrize(
    ("path", "wrong", "told"),
    [
        (("export_context", "strategy"), "usage", 'must be "htp"'),
        (("export_context", "timestamp"), "yesterday", "must match ^[0-9]{4}"),
        (("export_context", "timestamp"), "2026-11-23T01:13:19.888+02:00", "must match"),
        (("export_context", "export_time_seconds"), -0.5, "must be at least 0"),
        (("export_context", "version"), "", "must not be empty"),
        (("tracing", "source"), "guess", 'must be one of "trace", "onnx_metadata"'),
        (("tracing", "inputs", "pixel_values", "shape"), [1, 2.5], "must be an integer or a string, but is a number"),
        (("statistics", "coverage_percentage"), 100.5, "must be at most 100"),
        (("statistics", "empty_tags"), 1, "must be 0"),
        (("statistics", "onnx_nodes"), True, "must be an integer, but is true or false"),
        (("modules", "traced_tag"), "BertModel", 'must match ^/., but is "BertModel"'),
        (("modules", "execution_order"), -1, "must be at least 0"),
        (("nodes", "node_relu"), "", "must match"),
        (("outputs", "report", "path"), "", "must not be empty"),
    ],
)
def test_a_wrong_value_is_told(path: Path, wrong: object, told: str) -> None:
    value = document("winml-resnet-mini-dynamo")
    holder(value, path)[path[-1]] = wrong
    error = refusal(value)
    assert error is not None
    assert (error.place or "").startswith(written(path))
    assert told in error.message
    assert not OTHER_VALIDATOR.is_valid(value)


def test_members_that_the_schema_does_not_name_are_allowed() -> None:
    value = document("winml-resnet-mini-dynamo")
    for place in (value, value["export_context"], value["modules"], value["outputs"]["metadata"], value["statistics"]):
        place["newer"] = {"anything": [None]}
    assert refusal(value) is None


def test_a_key_that_is_the_beginning_of_another_does_not_confuse_the_path() -> None:
    value = document("winml-resnet-mini-dynamo")
    value["nodes"] = {"layer": "/A", "layer.0": 5, "layer.0.x": "/A"}
    error = refusal(value)
    assert error is not None
    assert error.place == 'nodes["layer.0"]'


@pytest.mark.parametrize(
    ("sections", "finding"),
    [
        ({"statistics": {"export_time": "long"}}, "statistics: has no 'hierarchy_modules'"),
        ({"model": "Bert"}, "model: must be an object, but is a string"),
        ({"export_context": None}, "export_context: must be an object, but is null"),
        ({"tracing": {"builder": ""}}, "tracing"),
    ],
)
def test_a_reader_tells_deviations_and_goes_on(sections: dict[str, object], finding: str) -> None:
    given = metadata(module("/A", ""), {}, **sections)
    (told,) = build_hierarchy([], given).findings
    assert told.startswith("the metadata deviates from its schema: ")
    assert finding in told


def test_a_reader_is_content_with_modules_and_nodes() -> None:
    assert metadata(module("/A", ""), {}).findings == ()
    assert refusal({"modules": module("/A", ""), "nodes": {}}) is not None


def test_an_order_may_be_written_as_a_float() -> None:
    """1.0 is an integer in JSON Schema."""
    order = metadata(module("/A", "") | {"execution_order": 3.0}, {}).modules[0].execution_order
    assert (order, type(order)) == (3, int)


def message(read: Callable[[bytes, str], object], text: str) -> str:
    """What a reader says against a text; nothing if it reads it."""
    try:
        read(text.encode(), "model.json")
    except MetadataError as error:
        return str(error)
    return ""


SMALL = {"class_name": "A", "traced_tag": "/A", "scope": "a"}
MANY = {str(number): SMALL for number in range(50_000)}
LARGE = [
    SMALL | {"children": {"A" * 1_000_000: SMALL | {"children": MANY}}},
    {"A" * 1_000_000: SMALL, "A" * 1_000_001: SMALL | {"scope": 5}} | MANY,
    SMALL | {"children": {"A" * 1_000_000: 5}},
]


@pytest.mark.parametrize("modules", LARGE)
def test_a_reader_takes_linear_time_for_large_metadata(modules: dict[str, object]) -> None:
    """Quadratic work would run for hours here."""
    assert len(message(read_metadata, json.dumps({"modules": modules, "nodes": {}}))) < 400


@pytest.mark.parametrize("levels", [400, 5_000])
@pytest.mark.parametrize("read", [read_metadata, check_metadata])
def test_depth_is_no_reason_to_crash(read: Callable[[bytes, str], object], levels: int) -> None:
    modules = '{"scope": "", "class_name": "A", "traced_tag": "/A", "children": {"A": ' * levels
    told = message(read, f'{{"modules": {modules}{{}}{"}}" * levels}, "nodes": {{}}}}')
    assert len(told) < 400
    assert told.isprintable()
