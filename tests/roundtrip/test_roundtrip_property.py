"""Whatever model it is, and however it was written: its bytes come back, and so does its GraphML."""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path

import onnx
import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given
from hypothesis import strategies as st

from graphml_onnx import ExternalDataError, ModelError
from graphml_onnx.parameters.store import STRATEGIES
from tests.campaign import running
from tests.campaign.wire_models import WireModels
from tests.common.roundtrip import Trip, through_files, through_memory
from tests.strategies import wire
from tests.strategies.models import embed, model_bytes, models, paths_to_messages, samples
from tests.strategies.wire import MODEL, serialise

MUTANTS = int(os.environ.get("G2O_MUTANTS", "1000"))
_CHUNKS = 10

strategies = st.sampled_from(STRATEGIES)
layouts = st.sampled_from(("nested", "flat"))


def is_canonical(data: bytes) -> bool:
    """Whether protobuf writes what it reads; asked of ONNX's own class."""
    return onnx.ModelProto.FromString(data).SerializeToString() == data


def check(data: bytes, trip: Trip) -> None:
    assert trip.decoded == data
    assert trip.exact


@given(
    data=model_bytes(),
    parameters=strategies,
    layout=layouts,
    show_parameters=st.booleans(),
    inline_limit=st.sampled_from((0, 40, 1024)),
)
def test_any_model_comes_back(data, parameters, layout, show_parameters, inline_limit):
    trip = through_memory(data, parameters, layout, show_parameters=show_parameters, inline_limit=inline_limit)
    check(data, trip)
    if is_canonical(data):
        assert trip.residue_bytes == 0
    again = through_memory(trip.decoded, parameters, layout, show_parameters=show_parameters, inline_limit=inline_limit)
    assert again.graphml == trip.graphml


@given(data=model_bytes(), parameters=strategies, layout=layouts, show_parameters=st.booleans())
def test_any_model_comes_back_through_files(data, parameters, layout, show_parameters):
    with tempfile.TemporaryDirectory() as name:
        trip = through_files(data, Path(name), parameters, layout, show_parameters=show_parameters)
        check(data, trip)
        if is_canonical(data):
            assert trip.residue_bytes == 0
        again = through_files(trip.decoded, Path(name), parameters, layout, show_parameters=show_parameters)
        assert again.graphml == trip.graphml


def _cases() -> list[object]:
    cases = []
    for name, paths in paths_to_messages().items():
        descriptor = MODEL.file.pool.FindMessageTypeByName(name)
        for path in paths:
            way = ".".join(field.name for field in path) or "model"
            cases.append(pytest.param(descriptor, path, id=f"{name.removeprefix('onnx.')}-{way}"))
    return cases


@pytest.mark.parametrize(("descriptor", "path"), _cases())
def test_every_field_comes_back_absent_default_and_set(descriptor, path):
    for parameters in STRATEGIES:
        for field in descriptor.fields:
            for word, fields in [("absent", ()), *samples(field)]:
                data = serialise(embed(path, fields))
                assert is_canonical(data)
                trip = through_memory(data, parameters)
                assert (trip.decoded, trip.residue_bytes) == (data, 0), f"{field.full_name} {word}"


def test_the_cases_reach_every_message_of_onnx():
    reached = set(paths_to_messages())
    assert "onnx.ModelProto" in reached
    declared = {message.full_name for message in _all_messages(MODEL.file.message_types_by_name.values())}
    # Enclosing or free-standing messages that no field of a model has.
    assert declared - reached <= {"onnx.OperatorProto", "onnx.OperatorSetProto"}


def _all_messages(descriptors):
    for descriptor in descriptors:
        yield descriptor
        yield from _all_messages(descriptor.nested_types)


@given(fields=models(), seed=st.integers(0, 2**32), changes=st.integers(1, 5), parameters=strategies, layout=layouts)
def test_any_mutant_comes_back(fields, seed, changes, parameters, layout):
    rng = random.Random(seed)
    for _ in range(changes):
        fields = wire.mutate(fields, rng)
    data = serialise(fields)
    try:
        has_graph = onnx.ModelProto.FromString(data).HasField("graph")
    except DecodeError:
        has_graph = False
    try:
        trip = through_memory(data, parameters, layout)
    except ExternalDataError:
        return  # the change has made a tensor external
    except ModelError:
        if has_graph:
            raise
        return
    check(data, trip)


@pytest.mark.parametrize("chunk", range(_CHUNKS))
def test_hostile_mutants_of_real_models(chunk):
    """``G2O_MUTANTS=10000`` checks more of them; ``python -m tests.campaign wire`` any number, from any seed."""
    count = MUTANTS // _CHUNKS
    outcome = running.run(WireModels(), count, chunk * count)
    assert outcome.executions == count
    assert outcome.words["byte-identical"] > count / 2
    assert outcome.words["refused for external data"] <= count / 50
    assert outcome.failures == []


@given(data=model_bytes(), cut=st.integers(0, 10_000))
def test_a_truncated_model_is_refused_or_comes_back(data, cut):
    data = data[:cut]
    try:
        trip = through_memory(data)
    except ModelError:
        return
    check(data, trip)


@example(data=b"")
@given(data=st.binary(max_size=60))
def test_any_bytes_are_refused_or_come_back(data):
    try:
        trip = through_memory(data)
    except ModelError:
        return
    check(data, trip)
