"""ONNX's own suites, with every strategy: each model comes back byte for byte, without a residue."""

from __future__ import annotations

import warnings
from functools import cache

import onnx
import pytest
from onnx.backend.test.case.node import collect_testcases

from tests.common import seeds
from tests.common.roundtrip import through_files, through_memory

_CHUNKS = 6  # what pytest-xdist spreads; each worker collects the models once
_RELEASE = tuple(int(part) for part in onnx.__version__.split(".")[:2])
_FROM_1_23 = _RELEASE >= (1, 23)


@cache
def node_models() -> list[bytes]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the reference implementations divide by zero on purpose
        return [case.model.SerializeToString() for case in collect_testcases(None)]


@cache
def package_models() -> list[bytes]:
    return list(seeds.onnx_files().values())


def test_the_suites_are_complete():
    assert len(node_models()) >= (1884 if _FROM_1_23 else 1000)
    assert len(package_models()) >= (149 if _FROM_1_23 else 100)


@pytest.mark.parametrize("parameters", ["embedded", "reference"])
@pytest.mark.parametrize("chunk", range(_CHUNKS))
def test_suites_in_memory(chunk, parameters):
    for data in [*node_models(), *package_models()][chunk::_CHUNKS]:
        trip = through_memory(data, parameters)
        assert (trip.decoded == data, trip.exact, trip.residue_bytes) == (True, True, 0)


@pytest.mark.parametrize(
    "chunk", [pytest.param(chunk, marks=pytest.mark.slow if chunk > 1 else ()) for chunk in range(_CHUNKS)]
)
def test_suites_through_files(chunk, tmp_path):
    for data in [*node_models(), *package_models()][chunk::_CHUNKS]:
        trip = through_files(data, tmp_path, "sidecar")
        assert (trip.decoded == data, trip.exact, trip.residue_bytes) == (True, True, 0)


@pytest.mark.parametrize("parameters", ["sidecar", "embedded", "reference"])
@pytest.mark.parametrize("name", seeds.fixtures())
def test_fixtures_through_files(name, parameters, tmp_path):
    data = seeds.fixtures()[name]
    trip = through_files(data, tmp_path, parameters)
    assert (trip.decoded == data, trip.exact, trip.residue_bytes) == (True, True, 0)


def test_small_models_through_files(tmp_path):
    for name, data in seeds.small_models().items():
        for parameters in ("sidecar", "embedded", "reference"):
            for layout in ("nested", "flat"):
                trip = through_files(data, tmp_path, parameters, layout, show_parameters=True)
                assert (trip.decoded == data, trip.exact, trip.residue_bytes) == (True, True, 0), name
