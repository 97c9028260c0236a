"""The schema of the format: what encode writes follows it in every layout, and what does not is told."""

from __future__ import annotations

import builtins
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import pytest

from graphml_onnx import Layout, UsageError, validate
from tests.validation.broken_graphs import Broken, codes

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.editing.edits import Text

xmlschema = pytest.importorskip("xmlschema")

OFFICIAL = Path(__file__).parents[2] / "fixtures" / "schema" / "graphml.xsd"


@pytest.mark.parametrize("layout", ["nested", "flat", "plain"])
@pytest.mark.parametrize("shown", [True, False])
def test_what_encode_writes_follows_it(tmp_path: Path, layout: Layout, shown: bool) -> None:
    assert validate(Broken(tmp_path, layout, shown=shown).path, schema=True) == []


def with_edges_first(text: Text) -> str:
    edges = text.text[text.text.index("<edge ") : text.text.rindex("</graph>")]
    return text.text.replace(edges, "").replace('edgedefault="directed">\n', f'edgedefault="directed">\n{edges}', 1)


# What decode does not mind, but encode never writes.
UNLIKE = {
    "an attribute of a tool": lambda text: text.text.replace("<edge ", '<edge id="e0" ', 1),
    "edges before nodes": with_edges_first,
    "an undirected graph": lambda text: text.text.replace('edgedefault="directed"', 'edgedefault="undirected"', 1),
    "a key for all": lambda text: text.text.replace('for="node"', 'for="all"', 1),
    "a key of doubles": lambda text: text.text.replace('attr.type="string"', 'attr.type="double"', 1),
    "data of the graph": lambda text: text.text.replace("<node ", '<data key="name">g</data><node ', 1),
    "an id with a space": lambda text: text.text.replace(f'"{text.xml_id("x")}"', '"n 1"'),
    "a second graph": lambda text: text.text.replace("</graphml>", '<graph edgedefault="directed"/></graphml>'),
    "an empty node": lambda text: text.insert('<node id="z"><data key="kind">frame</data></node>').text,
}


@pytest.mark.parametrize("name", UNLIKE)
def test_what_is_not_written_by_encode_is_told(broken: Broken, name: str) -> None:
    unlike: Callable[[Text], str] = UNLIKE[name]
    assert "schema" not in codes(broken.found_in(unlike(broken.text)))
    found = validate(broken.path, schema=True)
    assert "schema" in codes(found)
    assert "not-decodable" not in codes(found)


@pytest.mark.parametrize("layout", ["flat", "plain"])
def test_it_is_stricter_than_that_of_graphml(tmp_path: Path, layout: Layout) -> None:
    xmlschema.XMLSchema(str(OFFICIAL)).validate(str(Broken(tmp_path, layout).path))


def test_a_missing_package_is_told(broken: Broken) -> None:
    original = builtins.__import__

    def without_xmlschema(name: str, *arguments: object, **options: object) -> object:
        if name == "xmlschema":
            raise ImportError(name)
        return original(name, *arguments, **options)

    with mock.patch("builtins.__import__", without_xmlschema), pytest.raises(UsageError, match="xmlschema") as caught:
        validate(broken.path, schema=True)
    assert "pip install xmlschema" in (caught.value.remedy or "")
