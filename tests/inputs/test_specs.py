"""Sizes of dimensions by the names that the specs give them."""

from __future__ import annotations

import pytest

from graphml_onnx.errors import UsageError
from graphml_onnx.inputs.specs import read_input_specs

SPECS = {
    "input_ids": {"shape": ["batch", "sequence"], "dtype": "int64"},
    "attention_mask": {"shape": ["batch", "sequence"], "dtype": "int64"},
    "scale": {"shape": [3], "dtype": "float32"},
}


def test_a_named_dimension_gets_a_size() -> None:
    specs = read_input_specs(SPECS, shapes={"sequence": [128], "scale": [5]})
    assert specs["input_ids"].shape == specs["attention_mask"].shape == (2, 128)
    assert specs["input_ids"].symbols == {0: "batch", 1: "sequence"}
    assert specs["scale"].shape == (5,)


def test_what_is_neither_an_input_nor_a_dimension() -> None:
    with pytest.raises(UsageError, match=r"'length'.*the dimensions are batch, sequence"):
        read_input_specs(SPECS, shapes={"length": [128]})
    with pytest.raises(UsageError, match="'sequence'"):
        read_input_specs(SPECS, shapes={"sequence": [1, 128]})
