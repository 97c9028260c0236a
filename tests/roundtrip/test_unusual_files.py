"""Files that other writers make, one kind at a time: what the property tests found, and what they must not lose."""

from __future__ import annotations

import onnx
import pytest
from onnx import TensorProto, helper

from graphml_onnx import ModelError
from graphml_onnx.parameters.store import STRATEGIES
from tests.common import seeds
from tests.common.roundtrip import through_files, through_memory
from tests.strategies import wire
from tests.strategies.models import embed, paths_to_messages
from tests.strategies.wire import BYTES, FIXED32, FIXED64, GROUP, VARINT, Field, serialise

GRAPH = Field(7, BYTES, ())


def comes_back(fields: tuple[Field, ...]) -> bytes:
    """Checks that a model comes back with every strategy; returns its GraphML."""
    data = serialise(fields)
    assert onnx.ModelProto.FromString(data).HasField("graph")
    for parameters in STRATEGIES:
        trip = through_memory(data, parameters)
        assert (trip.decoded == data, trip.exact) == (True, True)
    return trip.graphml


UNKNOWN = [
    pytest.param(Field(999, VARINT, 1), id="varint"),
    pytest.param(Field(999, VARINT, 2**64 - 1), id="largest varint"),
    pytest.param(Field(999, FIXED32, 2**32 - 1), id="fixed32"),
    pytest.param(Field(999, FIXED64, 2**64 - 1), id="fixed64"),
    pytest.param(Field(999, BYTES, b"text"), id="text"),
    pytest.param(Field(999, BYTES, b"\xff\x00"), id="bytes"),
    pytest.param(Field(999, GROUP, (Field(1, VARINT, 1), Field(2, GROUP, ()))), id="groups"),
    pytest.param(Field(2**29 - 1, VARINT, 1), id="largest number"),
]


@pytest.mark.parametrize("field", UNKNOWN)
def test_unknown_fields_stand_in_the_graph_and_leave_no_residue(field):
    data = serialise((GRAPH, field))
    trip = through_memory(data)
    assert (trip.decoded, trip.residue_bytes) == (data, 0)
    assert f"[{field.number},".encode() in trip.graphml


@pytest.mark.parametrize("field", UNKNOWN)
@pytest.mark.parametrize("width", ["wide_tag", "wide_length", "wide_value"])
def test_unknown_fields_with_over_long_numbers(field, width):
    """protobuf keeps their bytes as they are: to it, such a file is canonical."""
    if width == "wide_tag" and field.number == 2**29 - 1:
        pytest.skip("protobuf reads no tag of more than five bytes")
    comes_back((GRAPH, field._replace(**{width: 1})))


@pytest.mark.parametrize("message", [name for name in paths_to_messages() if "graph" not in name])
def test_over_long_unknown_fields_in_every_message(message):
    for path in paths_to_messages()[message]:
        comes_back(embed(path, (Field(999, VARINT, 1, wide_value=2), Field(998, VARINT, 1))))


@pytest.mark.parametrize(
    "field",
    [
        pytest.param(Field(1, BYTES, b"ten"), id="text for a number"),
        pytest.param(Field(2, VARINT, 5), id="number for text"),
        pytest.param(Field(7, FIXED32, 5), id="number for a message"),
        pytest.param(Field(8, GROUP, ()), id="group for a message"),
    ],
)
def test_a_known_number_with_a_wire_type_that_is_not_its_own_is_unknown(field):
    assert b"$unknown" in comes_back((GRAPH, field))


def test_unknown_fields_of_an_operator_beside_one_without():
    """Both have the same known fields; the key that only the second needs is declared."""
    plain = Field(1, BYTES, (Field(4, BYTES, b"Relu"),))
    special = Field(1, BYTES, (Field(4, BYTES, b"Relu"), Field(999, VARINT, 1)))
    comes_back((Field(7, BYTES, (plain, special)),))


def test_a_graph_whose_output_is_its_input():
    """An edge without any operator."""
    value = Field(1, BYTES, b"x")
    graphml = comes_back((Field(7, BYTES, (Field(11, BYTES, (value,)), Field(12, BYTES, (value,)))),))
    assert b"<edge " in graphml


def test_an_initializer_that_is_an_output():
    graph = helper.make_graph([], "g", [], [helper.make_empty_tensor_value_info("w")])
    graph.initializer.append(helper.make_tensor("w", TensorProto.FLOAT, [1], [1.0]))
    data = helper.make_model(graph).SerializeToString()
    trip = through_memory(data, show_parameters=True)
    assert (trip.decoded, trip.residue_bytes) == (data, 0)
    assert b"<edge " in trip.graphml


@pytest.mark.parametrize("kind", ["packed twice", "packed and one by one"])
def test_a_large_typed_field_in_two_pieces_is_not_cut_apart(kind):
    """protobuf puts the pieces together: the graph holds all numbers, and no marker read as numbers."""
    first = Field(4, BYTES, b"\x00\x00\x80\x3f" * 500)  # 1.0
    second = first if kind == "packed twice" else Field(4, FIXED32, 0x3F800000)
    tensor = Field(5, BYTES, (Field(2, VARINT, 1), first, second, Field(9, BYTES, b"\x01" * 2000)))
    graphml = comes_back((Field(7, BYTES, (tensor,)),))
    count = 1000 if kind == "packed twice" else 501
    assert f"[{','.join(['1.0'] * count)}]".encode() in graphml
    assert graphml.count(b'{"$payload"') == 1  # raw_data


def test_a_large_field_that_stands_twice_counts_once():
    """The first is not in the model, but it is in the file."""
    tensor = Field(5, BYTES, (Field(2, VARINT, 1), Field(9, BYTES, b"\x01" * 2000), Field(9, BYTES, b"\x02" * 1600)))
    graphml = comes_back((Field(7, BYTES, (tensor,)),))
    assert graphml.count(b'"length":1600') == 1
    assert graphml.count(b'"length":2000') == 1


def _nested(depth: int, *, in_training: bool) -> bytes:
    fields: tuple[Field, ...] = ()
    for _ in range(depth):
        fields = (Field(1, BYTES, (Field(5, BYTES, (Field(6, BYTES, fields),)),)),)
    if in_training:
        return serialise((Field(7, BYTES, ()), Field(20, BYTES, (Field(2, BYTES, fields),))))
    return serialise((Field(7, BYTES, fields),))


@pytest.mark.parametrize("layout", ["nested", "flat"])
def test_33_nested_subgraphs(layout, tmp_path):
    data = _nested(33, in_training=False)
    trip = through_files(data, tmp_path, "sidecar", layout)
    assert (trip.decoded, trip.residue_bytes) == (data, 0)


def test_32_nested_subgraphs_in_training_info(tmp_path):
    data = _nested(32, in_training=True)
    trip = through_files(data, tmp_path)
    assert (trip.decoded, trip.residue_bytes) == (data, 0)


@pytest.mark.parametrize("in_training", [False, True])
@pytest.mark.parametrize("depth", [34, 60, 200])
def test_deeper_nesting_is_refused(depth, in_training):
    with pytest.raises(ModelError, match="100 deep"):
        through_memory(_nested(depth, in_training=in_training))


def test_every_field_of_a_real_model_moved_to_the_end():
    for data in seeds.small_models().values():
        fields = wire.parse(data)
        for index in range(len(fields)):
            comes_back((*fields[:index], *fields[index + 1 :], fields[index]))


def test_names_that_look_like_the_format():
    names = [b'{"$graph":0}', b'{"$payload":{"offset":0,"length":1,"sha256":""}}', b'"$unknown"', b"[2,3]", b"null"]
    attributes = [Field(5, BYTES, (Field(1, BYTES, name), Field(4, BYTES, name))) for name in names]
    inputs = [Field(1, BYTES, name) for name in names]
    node = Field(1, BYTES, (*inputs, Field(4, BYTES, names[0]), *attributes))
    trip = through_memory(data := serialise((Field(7, BYTES, (node,)),)))
    assert (trip.decoded, trip.residue_bytes) == (data, 0)


def test_what_a_residue_restores_is_only_the_spelling():
    """Without its residue a file decodes to the same model in protobuf's own bytes."""
    data = serialise((Field(7, BYTES, (Field(2, BYTES, b"name"),)), Field(1, VARINT, 10, wide_value=3)))
    trip = through_memory(data)
    assert 0 < trip.residue_bytes < 600
    assert b'<data key="name">name</data>' in trip.graphml
    assert b'<data key="ir_version">10</data>' in trip.graphml
