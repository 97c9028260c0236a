"""Reading HTP metadata: both forms of `modules`, what may be missing, and every way to be wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from graphml_onnx.errors import MetadataError
from graphml_onnx.hierarchy import HtpMetadata, read_metadata
from tests.hierarchy.htp_samples import FOLDER, NAMES, build_hierarchy, metadata, module, sample

A_MODEL: dict[str, Any] = {"modules": module("/A", ""), "nodes": {}}


def read(text: str) -> HtpMetadata:
    return read_metadata(text.encode(), "model.json")


@pytest.mark.parametrize("name", NAMES)
def test_text_is_the_exact_file(name: str) -> None:
    data = (FOLDER / name / "model_htp_metadata.json").read_bytes()
    assert read_metadata(data, None).text.encode() == data


def test_nested_modules_keep_the_order_and_the_facts_of_the_file() -> None:
    sample_json = sample("modelexport-resnet-mini").json
    modules = sample("modelexport-resnet-mini").metadata.modules
    embedder = modules[1]
    assert [m.scope for m in modules[:4]] == ["", "embedder", "embedder.embedder", "encoder"]
    assert [m.execution_order for m in modules] == list(range(13))
    assert (embedder.class_name, embedder.name, embedder.parent) == ("ResNetEmbeddings", "embedder", 0)
    assert embedder.tag == sample_json["modules"]["children"]["ResNetEmbeddings"]["traced_tag"]
    assert modules[0].name == "ResNetModel"
    assert modules[0].parent is None


def flattened(nested: dict[str, Any]) -> dict[str, Any]:
    """The same modules in the older form, breadth first as its exporter sorted them."""
    flat = {}
    waiting = [nested]
    for entry in waiting:
        flat[entry["scope"]] = {key: entry[key] for key in ("class_name", "traced_tag", "execution_order")}
        waiting.extend(entry.get("children", {}).values())
    return flat


@pytest.mark.parametrize("name", NAMES)
def test_the_flat_form_gives_the_same_tree_as_the_nested_form(name: str) -> None:
    nested = sample(name).metadata
    flat = metadata(flattened(sample(name).json["modules"]), sample(name).json["nodes"])
    assert flat.modules == nested.modules
    assert build_hierarchy(sample(name).operators, flat) == build_hierarchy(sample(name).operators, nested)


def test_the_flat_form_needs_neither_a_root_module_nor_every_level() -> None:
    modules = metadata({"encoder.layer.0": {"class_name": "Layer"}, "encoder": {"class_name": "Encoder"}}, {}).modules
    assert [(m.scope, m.parent, m.tag) for m in modules] == [
        ("encoder", None, "/Encoder"),
        ("encoder.layer.0", 0, "/Encoder/Layer.0"),
    ]


def test_a_flat_module_may_be_named_like_a_field() -> None:
    modules = metadata({"": {"class_name": "A"}, "scope": {"class_name": "Scope"}}, {}).modules
    assert [(m.scope, m.parent) for m in modules] == [("", None), ("scope", 0)]


def test_sections_of_no_concern_may_be_missing_or_new() -> None:
    assert metadata(module("/A", ""), {}, newest={"deep": [1.5, None]}).modules[0].tag == "/A"
    assert metadata(module("/A", ""), {}, model="not even an object").model is None
    assert metadata(module("/A", ""), {}, model={"class_name": "BertModel"}).model == "BertModel"


def test_class_and_scope_that_are_missing_come_from_key_and_tag() -> None:
    children = {"BertLayer.0": {}, "Linear": {"traced_tag": "/BertModel/Linear.dense"}}
    root = {"traced_tag": "/BertModel", "children": children}
    modules = metadata(root, {}).modules
    assert [(m.class_name, m.name, m.scope, m.tag) for m in modules] == [
        ("BertModel", "BertModel", "", "/BertModel"),
        ("BertLayer", "0", "0", "/BertModel/BertLayer.0"),
        ("Linear", "dense", "dense", "/BertModel/Linear.dense"),
    ]


def test_the_class_of_a_bare_root_comes_from_the_model() -> None:
    assert metadata({"scope": ""}, {}, model={"class_name": "BertModel"}).modules[0].tag == "/BertModel"


def test_tags_are_never_empty() -> None:
    bare = {"scope": "", "traced_tag": "", "class_name": "", "children": {"": {"class_name": ""}}}
    assert [m.tag for m in metadata(bare, {}).modules] == ["/Module", "/Module/Module"]


def test_source_and_module_type_are_kept_and_null_says_nothing() -> None:
    given = module("/A", "") | {"source": "torch.nn", "module_type": "huggingface", "execution_order": 7}
    empty = module("/A", "") | {"source": None, "module_type": None, "execution_order": None, "children": None}
    (first,) = metadata(given, {}).modules
    (second,) = metadata(empty, {}).modules
    assert (first.source, first.module_type, first.execution_order) == ("torch.nn", "huggingface", 7)
    assert (second.source, second.module_type, second.execution_order) == (None, None, None)


def test_a_byte_order_mark_is_accepted_and_kept() -> None:
    data = b"\xef\xbb\xbf" + json.dumps(A_MODEL).encode()
    assert read_metadata(data, None).text.encode() == data


@pytest.mark.parametrize(
    ("modules", "place"),
    [
        ([], "modules"),
        (None, "modules"),
        ("BertModel", "modules"),
        ({"encoder": "BertEncoder"}, "modules.encoder"),
        ({"encoder.layer": {"scope": 1}}, 'modules["encoder.layer"].scope'),
        ({"class_name": 5}, "modules.class_name"),
        ({"scope": "", "class_name": 5}, "modules.class_name"),
        ({"scope": "", "children": []}, "modules.children"),
        ({"scope": "", "children": {"BertEncoder": None}}, "modules.children.BertEncoder"),
        ({"scope": "", "children": {"BertEncoder": {"scope": ["encoder"]}}}, "modules.children.BertEncoder.scope"),
        ({"scope": "", "children": {"A.0": {"traced_tag": None}}}, 'modules.children["A.0"].traced_tag'),
        ({"scope": "", "execution_order": True}, "modules.execution_order"),
        ({"scope": "", "execution_order": 1.5}, "modules.execution_order"),
        ({"scope": "", "source": 1}, "modules.source"),
        ({"scope": "", "module_type": {}}, "modules.module_type"),
    ],
)
def test_a_wrong_type_in_modules_is_named_by_its_keys(modules: object, place: str) -> None:
    with pytest.raises(MetadataError) as caught:
        metadata(modules, {})
    assert caught.value.place == place
    assert caught.value.file == "model.json"


@pytest.mark.parametrize(
    ("nodes", "place"),
    [([], "nodes"), (None, "nodes"), ({"Add": 1}, "nodes.Add"), ({"/a/Add": ["/A"]}, 'nodes["/a/Add"]')],
)
def test_a_wrong_type_in_nodes_is_named_by_its_keys(nodes: object, place: str) -> None:
    with pytest.raises(MetadataError) as caught:
        metadata(module("/A", ""), nodes)
    assert caught.value.place == place


def test_nodes_are_needed_and_modules_are_not() -> None:
    with pytest.raises(MetadataError, match="nodes"):
        read(json.dumps({key: value for key, value in A_MODEL.items() if key != "nodes"}))
    assert read(json.dumps({key: value for key, value in A_MODEL.items() if key != "modules"})).modules == ()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1"),
        ('{"modules": {},\n "nodes": {}', "line 2"),
        ('{"modules": {},\n "nodes": {},}', "line 2"),
        ("[]", "object"),
        ("null", "object"),
        ('"modules nodes"', "object"),
        ('{"modules": {}, "nodes": {}, "nodes": {}}', "line 1, column 30.*'nodes'"),
        ('{"modules": {}, "nodes": {"Add": "/A", "Add": "/B"}}', "line 1, column 40: duplicate key 'Add'"),
        ('{"modules": {}, "nodes": {}, "statistics": NaN}', "line 1, column 44.*NaN"),
        ('{"modules": {}, "nodes": {}, "statistics": -Infinity}', "Infinity"),
        ('{"modules": {}, "nodes": {}, "statistics": ' + "9" * 10_000 + "}", "number"),
        ('{"modules": {"a": {"execution_order": 1e999}}, "nodes": {}}', "execution_order"),
        ('{"modules": ' + '{"a":' * 20_000 + "{}" + "}" * 20_000 + ', "nodes": {}}', "deep"),
        ("[" * 20_000, "deep"),
    ],
)
def test_what_is_not_strict_json_is_refused_with_line_or_key(text: str, told: str) -> None:
    with pytest.raises(MetadataError, match=told) as caught:
        read(text)
    assert caught.value.file == "model.json"


@pytest.mark.parametrize("data", [b"\xff\xfe{\x00}\x00", b'{"modules": "\xe9"}', b"\x1f\x8b\x08\x00"])
def test_what_is_not_utf8_is_refused_with_the_byte(data: bytes) -> None:
    with pytest.raises(MetadataError, match="UTF-8") as caught:
        read_metadata(data, Path("model.json"))
    assert caught.value.place is not None
    assert caught.value.place.startswith("byte ")


def test_the_place_of_a_deep_error_is_shortened_in_the_middle() -> None:
    modules: dict[str, Any] = {"scope": 1}
    for level in range(100):
        modules = {"scope": "", "children": {f"Level{level}": modules}}
    with pytest.raises(MetadataError) as caught:
        metadata(modules, {})
    place = caught.value.place or ""
    assert place.startswith("modules.children.Level99.children.Level98")
    assert place.endswith(".children.Level0.scope")
    assert "…" in place
    assert len(place) < 250


def test_a_message_stays_on_one_short_line_whatever_the_key() -> None:
    key = "\ud800\n\x1b[31m" + "x" * 10_000
    with pytest.raises(MetadataError) as caught:
        metadata(module("/A", ""), {key: 1})
    assert len(str(caught.value)) < 300
    assert str(caught.value).isprintable()
