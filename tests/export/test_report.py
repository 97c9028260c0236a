"""The report: valid Markdown with every fact, whatever the names; short for a large model with repeated layers."""

from __future__ import annotations

import os
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from graphml_onnx import Notice
from graphml_onnx.exporting.record import ExportRecord, OperatorRecord, PlacementRule, TensorRecord
from graphml_onnx.exporting.report import report_markdown
from tests.export.export_records import DIRECT, FILES, STARTED, child, record, root, sample, transformer

UPDATE = os.environ.get("G2O_UPDATE_GOLDEN") == "1"
GOLDEN = Path(__file__).parent / "golden"
HOSTILE = [
    "a|b",
    "`code` ``",
    "*bold* _it_",
    "<b>html</b>",
    "a\\|b",
    "[link](x)",
    "&amp;",
    "two\nlines",
    "~~x~~",
    "```",
]


def parsed(export: ExportRecord) -> list[Token]:
    return MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(report_markdown(export, STARTED))


def text_of(inline: Token) -> str:
    """The text that a reader sees; fails if anything in it is more than text."""
    children = inline.children or []
    assert {child.type for child in children} <= {"text", "text_special", "softbreak"}, inline.content
    return "".join(child.content for child in children)


def tables(export: ExportRecord) -> dict[str, list[list[str]]]:
    """The rows of each table by the heading above it."""
    found: dict[str, list[list[str]]] = {}
    heading = ""
    tokens = parsed(export)
    for token, following in pairwise(tokens):
        if token.type == "heading_open":
            heading = text_of(following)
        elif token.type == "tr_open":
            found.setdefault(heading, []).append([])
        elif token.type in ("td_open", "th_open"):
            found[heading][-1].append(text_of(following))
    return found


def tree(export: ExportRecord) -> list[str]:
    (fence,) = [token for token in parsed(export) if token.type == "fence"]
    return fence.content.splitlines()


@pytest.mark.parametrize("name", ["winml-bert-mini-dynamo", "winml-resnet-mini-torchscript"])
def test_the_report_of_a_real_model(name: str) -> None:
    text = report_markdown(sample(name), STARTED)
    golden = GOLDEN / f"{name}.md"
    if UPDATE:
        golden.write_text(text, encoding="utf-8", newline="\n")
    assert text == golden.read_text(encoding="utf-8")


def test_each_table_has_the_facts_of_the_record() -> None:
    found = tables(transformer(2))
    assert ["Model", "models/small"] in found["Export of Transformer"]
    assert found["Inputs"][1:] == [["input_ids", "int64", "(batch, 16)"], ["mask", "bool", "()"]]
    assert found["Outputs"][1:] == [["logits", "float32", "(batch, 16, 99)"]]
    assert ["scope", "the exporter tells the scope", "direct", "14", "93.3 %"] in found["Coverage by rule"]
    assert found["Operators by type"][1:] == [
        ["Add", "7", "46.7 %"],
        ["MatMul", "7", "46.7 %"],
        ["Cast", "1", "6.7 %"],
    ]
    assert ["onnx export", "2.000", "66.7 %"] in found["Time"]
    assert found["Time"][-1] == ["all", "3.000", ""]
    assert found["Files"][1] == ["onnx model", "model.onnx", "1,234,567", "ab" * 32]
    assert found["Files"][2] == ["metadata", "model_htp_metadata.json", "", ""]


def test_layers_that_are_alike_are_drawn_once() -> None:
    assert tree(transformer(100)) == [
        "Transformer: 603 operators, 1 directly",
        "├── Block layers.0 to 99, 100 alike: 6 to 7 operators each, 1 directly",
        "│   └── Attention attention: 5 to 6 operators each, 2 to 3 directly",
        "│       ├── Linear query: 1 operator each",
        "│       ├── Linear key: 1 operator each",
        "│       └── Linear value: 1 operator each",
        "└── Linear lm_head: 1 operator",
    ]


def test_the_report_of_five_hundred_modules_is_as_short_as_that_of_ten() -> None:
    assert len(tree(transformer(100))) == len(tree(transformer(2)))


def test_lists_within_lists_are_folded_too() -> None:
    modules = [root()]
    for stage in range(3):
        outer = child(modules, 0, "Stage", f"stages.{stage}")
        for block in range(4):
            child(modules, outer, "Block", f"blocks.{block}")
    operators = [OperatorRecord(f"op{index}", "Add", index, DIRECT) for index in range(len(modules))]
    assert tree(record(tuple(modules), operators)) == [
        "Net: 16 operators, 1 directly",
        "└── Stage stages.0 to 2, 3 alike: 5 operators each, 1 directly",
        "    └── Block blocks.0 to 3, 4 alike: 1 operator each",
    ]


def test_what_is_not_alike_is_drawn_apart() -> None:
    modules = [root()]
    first = child(modules, 0, "Block", "blocks.0")
    child(modules, 0, "Block", "blocks.1")
    child(modules, 0, "Other", "blocks.2")
    child(modules, 0, "Other", "others.0")
    child(modules, 0, "Linear", "query")
    child(modules, 0, "Linear", "key")
    child(modules, first, "Shortcut", "shortcut")
    assert [line.partition(":")[0] for line in tree(record(tuple(modules), []))] == [
        "Net",
        "├── Block blocks.0",
        "│   └── Shortcut shortcut",
        "├── Block blocks.1",
        "├── Other blocks.2",
        "├── Other others.0",
        "├── Linear query",
        "└── Linear key",
    ]


@pytest.mark.parametrize("name", HOSTILE)
def test_any_name_is_shown_as_it_is(name: str) -> None:
    modules = [root(name)]
    child(modules, 0, name, name)
    rule = PlacementRule(name, name, "direct")
    export = record(tuple(modules), [OperatorRecord(name, name, 1, rule)], source=name)
    export = replace(
        export,
        inputs=(TensorRecord(name, name, (name,)),),
        files=(replace(FILES[0], path=name),),
        findings=(Notice("few-exact", name),),
    )
    shown = name if name.isprintable() else '"two\\nlines"'
    found = tables(export)
    assert ["Model", shown] in found[f"Export of {shown}"]
    assert found["Inputs"][1][0] == shown
    assert found["Coverage by rule"][1][:2] == [shown, shown]
    assert found["Operators by type"][1][0] == shown
    assert found["Files"][1][1] == shown
    assert tree(export) == [f"{shown}: 1 operator", f"└── {shown} {shown}: 1 operator"]


def test_findings_are_told_if_there_are_any() -> None:
    assert "## Findings" not in report_markdown(transformer(1), STARTED)
    told = replace(transformer(1), findings=(Notice("few-exact", "the exporter folded 3 operators"),))
    assert "\n- the exporter folded 3 operators (`few-exact`)\n" in report_markdown(told, STARTED)


def test_a_model_without_operators_has_a_report() -> None:
    export = replace(record((root(),), []), inputs=(), outputs=(), files=(), steps=())
    assert tree(export) == ["Net: 0 operators"]
