"""The table of fields beside ONNX's descriptors: nothing is missing, nothing is invented, and nothing new is lost."""

from __future__ import annotations

import onnx
import pytest

from graphml_onnx.codec import fields
from graphml_onnx.codec.fields import CATCH_ALL, FIELDS, Form
from graphml_onnx.codec.scalars import DATA_TYPE_FIELDS
from tests.common.roundtrip import through_memory
from tests.strategies.models import embed, paths_to_messages, samples
from tests.strategies.wire import serialise

MESSAGES = sorted(CATCH_ALL)


def _descriptor(message: str):
    return onnx.ModelProto.DESCRIPTOR.file.pool.FindMessageTypeByName(f"onnx.{message}")


def _rows(message: str) -> list[str]:
    return [row.field for row in FIELDS if row.message == message]


def test_the_table_is_about_the_messages_that_become_nodes():
    assert {row.message for row in FIELDS} == set(CATCH_ALL)
    assert set(MESSAGES) == {"ModelProto", "GraphProto", "NodeProto", "FunctionProto", "ValueInfoProto"}


@pytest.mark.parametrize("message", MESSAGES)
def test_every_field_has_a_row(message):
    missing = {field.name for field in _descriptor(message).fields} - set(_rows(message))
    assert not missing, (
        f"ONNX {onnx.__version__} has fields of {message} without a row in FIELDS: {', '.join(sorted(missing))}."
        f" They are carried under {CATCH_ALL[message]!r}; give them keys of their own."
    )


@pytest.mark.parametrize("message", MESSAGES)
def test_every_row_names_a_field(message):
    assert set(_rows(message)) <= {field.name for field in _descriptor(message).fields}
    assert len(_rows(message)) == len(set(_rows(message)))


@pytest.mark.parametrize("message", MESSAGES)
def test_no_key_stands_for_two_fields_of_a_node(message):
    """The model's node holds the fields of the main graph too."""
    together = ("ModelProto", "GraphProto") if message in ("ModelProto", "GraphProto") else (message,)
    keys = [row.key for row in FIELDS if row.message in together and row.form is not Form.NODES]
    keys += {CATCH_ALL[name] for name in together}
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("message", MESSAGES)
def test_forms_fit_the_types_of_the_fields(message):
    descriptor = _descriptor(message)
    for row in FIELDS:
        if row.message != message or row.field not in descriptor.fields_by_name:
            continue
        field = descriptor.fields_by_name[row.field]
        if row.form is Form.TEXT:
            assert field.type == field.TYPE_STRING, row
            assert not field.is_repeated, row
        elif row.form is Form.INTEGER:
            assert field.cpp_type == field.CPPTYPE_INT64, row
        elif row.form is Form.NODES:
            assert field.message_type is not None, row


def test_fields_that_hold_a_data_type_exist():
    for message, name in DATA_TYPE_FIELDS:
        field = _descriptor(message).fields_by_name[name]
        assert field.type == field.TYPE_INT32


def _rows_with_values() -> list[object]:
    return [
        pytest.param(row, id=f"{row.message}.{row.field}")
        for row in FIELDS
        if row.form is not Form.NODES and row.field in _descriptor(row.message).fields_by_name
    ]


@pytest.mark.parametrize("row", _rows_with_values())
def test_a_field_without_a_row_is_carried_by_the_catch_all_key(row, monkeypatch):
    """As if the field came with a new ONNX release: no row, and still nothing is lost."""
    path = paths_to_messages()[f"onnx.{row.message}"][0]
    values = dict(samples(_descriptor(row.message).fields_by_name[row.field]))
    data = serialise(embed(path, values["set"] if "set" in values else values["filled"]))
    assert f'<data key="{row.key}">'.encode() in through_memory(data).graphml

    monkeypatch.setattr(fields, "FIELDS", tuple(other for other in FIELDS if other != row))

    trip = through_memory(data)
    assert (trip.decoded, trip.exact, trip.residue_bytes) == (data, True, 0)
    assert f'<data key="{CATCH_ALL[row.message]}">{{"{row.field}":'.encode() in trip.graphml
    assert f'<data key="{row.key}">'.encode() not in trip.graphml


@pytest.mark.parametrize("message", MESSAGES)
def test_a_field_that_onnx_adds_is_noticed(message, monkeypatch):
    """The message of the test above, for a field that has no row."""
    row = next(row for row in FIELDS if row.message == message)
    rest = tuple(other for other in FIELDS if other != row)
    monkeypatch.setattr(f"{__name__}.FIELDS", rest)
    with pytest.raises(AssertionError, match=rf"has fields of {message} without a row in FIELDS: {row.field}\."):
        test_every_field_has_a_row(message)
