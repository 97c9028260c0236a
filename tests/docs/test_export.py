"""docs/export.md and the code say the same: rules, keywords of the exporters, examples of the JSON files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

pytest.importorskip("torch")

from graphml_onnx.exporting import placement
from graphml_onnx.exporting.options import EXPORTERS, make_settings, read_dynamic_shapes
from graphml_onnx.exporting.record import PlacementRule
from graphml_onnx.inputs.specs import read_input_specs

TEXT = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
COMMAND = Path(__file__).parents[2] / "cli" / "export.py"
VALUES = {"list of names": ["a"], "number": 18, "names of dimensions by input and number, as in": {"x": {"0": "n"}}}


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading of columns."""
    table = TEXT[TEXT.index(heading) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in table]


def test_the_table_of_rules_is_that_of_the_code() -> None:
    rules = {rule.name: rule.match for rule in vars(placement).values() if isinstance(rule, PlacementRule)}
    assert {name.strip("`"): match for name, _, match in rows("| rule | goes by")} == rules


def test_every_option_of_the_command_is_told_of() -> None:
    options = re.findall(r'"(--[a-z-]+)"', COMMAND.read_text(encoding="utf-8"))
    assert len(options) > 10
    assert [option for option in options if f"`{option}" not in TEXT and f" {option}" not in TEXT] == []


def test_the_keywords_are_those_that_each_exporter_takes() -> None:
    told: dict[str, dict[str, object]] = {exporter: {} for exporter in EXPORTERS}
    for names, value, whose in rows("| keyword | value"):
        for exporter in EXPORTERS if whose == "both" else [whose]:
            told[exporter] |= dict.fromkeys(re.findall(r"`(\w+)`", names), VALUES.get(value.split(" `")[0], True))
    for exporter in EXPORTERS:
        keywords = told[exporter] | {"dynamo": exporter == "dynamo"}
        assert make_settings(exporter, None, {}, keywords).findings == ()
    known = sorted({"verbose", *(key for keywords in told.values() for key in keywords)})
    with pytest.raises(Exception, match=", ".join(known)):
        make_settings("dynamo", None, {}, {"no such": 1})


def test_the_examples_of_json_files_are_read() -> None:
    specs, shapes = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL))

    assert read_input_specs(specs).keys() == specs.keys()
    assert read_dynamic_shapes(shapes).keys() == shapes.keys()
