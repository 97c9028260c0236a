"""Documents in the layouts ``plain`` and ``flat`` are valid against the GraphML schema."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.common import seeds
from tests.common.roundtrip import through_memory

xmlschema = pytest.importorskip("xmlschema")

if TYPE_CHECKING:
    from graphml_onnx.results import Layout

FIXTURES = Path(__file__).parents[2] / "fixtures"
MODELS = {
    **seeds.small_models(),
    **seeds.fixtures(),
    **{path.stem: path.read_bytes() for path in sorted(FIXTURES.glob("small/*.onnx"))},
}


@pytest.fixture(scope="module")
def schema() -> xmlschema.XMLSchema:
    return xmlschema.XMLSchema(FIXTURES / "schema" / "graphml.xsd")


def faults(schema: xmlschema.XMLSchema, document: bytes) -> list[str]:
    found = schema.iter_errors(io.BytesIO(document), use_location_hints=False)
    return [f"{error.path}: {error.reason}" for error in found]


@pytest.mark.parametrize("layout", ["plain", "flat"])
@pytest.mark.parametrize("name", MODELS)
def test_documents_are_valid(schema: xmlschema.XMLSchema, name: str, layout: Layout) -> None:
    document = through_memory(MODELS[name], "embedded", layout, show_parameters=True).graphml
    assert faults(schema, document) == []


def test_the_schema_sees_what_is_wrong(schema: xmlschema.XMLSchema) -> None:
    document = through_memory(seeds.small_models()["if"], layout="plain").graphml
    assert faults(schema, through_memory(seeds.small_models()["if"]).graphml)  # attributes and elements of yEd
    assert faults(schema, document.replace(b'attr.type="string"', b'attr.type="text"'))
    assert faults(schema, document.replace(b'<data key="kind">', b'<data key="undeclared">'))
