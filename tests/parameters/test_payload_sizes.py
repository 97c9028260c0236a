"""Payloads of every size at a border: the inline limit, a chunk, an alignment; alone and in rows, in every field.

Encode, with its self-check, and decode are called as users call them; the model, its data files and digests come back.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from graphml_onnx import decode, encode, verify
from graphml_onnx.onnxfile.lists import MARKER_BYTES
from tests.common.limited import limited, scaled

if TYPE_CHECKING:
    from graphml_onnx import ParameterStrategy

STRATEGIES: tuple[ParameterStrategy, ...] = ("sidecar", "embedded", "reference")
INLINE = 40
CHUNKS = (1, 7, 64)
BORDERS = (8, 64, MARKER_BYTES, INLINE, 128, 3072, 4096)
SIZES = sorted({max(0, border + off) for border in BORDERS for off in (-1, 0, 1)} | {0, 200})


def raw(name: str, size: int) -> TensorProto:
    data = bytes((size + 7 * position) % 251 for position in range(size))
    return TensorProto(name=name, data_type=TensorProto.UINT8, dims=[size], raw_data=data)


def typed(name: str, size: int) -> TensorProto:
    """The same number of bytes, or a few less, in each of the fields with a type."""
    fields = (
        TensorProto(name=name, data_type=TensorProto.FLOAT, float_data=[1.5 * n for n in range(size // 4)]),
        TensorProto(name=name, data_type=TensorProto.INT64, int64_data=range(size)),
        TensorProto(name=name, data_type=TensorProto.DOUBLE, double_data=[0.1 * n for n in range(size // 8)]),
    )
    return fields[size % 3]


def constant(name: str, tensor: TensorProto) -> onnx.NodeProto:
    return helper.make_node("Constant", [], [name], value=tensor)


def external(name: str, size: int, folder: Path) -> TensorProto:
    (folder / f"{name}.bin").write_bytes(raw(name, size).raw_data)
    tensor = TensorProto(name=name, data_type=TensorProto.UINT8, dims=[size], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=f"{name}.bin")
    return tensor


def model_of(payloads: list[tuple[str, int]], folder: Path) -> onnx.ModelProto:
    """A model with payloads, each of a kind and a size."""
    graph = onnx.GraphProto(name="g")
    for number, (kind, size) in enumerate(payloads):
        name = f"w{number}"
        if kind == "initializer":
            graph.initializer.append(raw(name, size))
        elif kind == "typed":
            graph.initializer.append(typed(name, size))
        elif kind == "constant":
            graph.node.append(constant(name, raw("", size)))
        elif kind == "body":
            body = helper.make_graph([constant(name, typed("", size))], "b", [], [], [raw(f"{name}.i", size)])
            graph.node.append(helper.make_node("If", ["c"], [], then_branch=body, else_branch=body))
        else:
            graph.initializer.append(external(name, size, folder))
    return helper.make_model(graph)


def goes_round(payloads: list[tuple[str, int]], parameters: ParameterStrategy) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "back").mkdir()
        model = folder / "model.onnx"
        model.write_bytes(model_of(payloads, folder).SerializeToString())
        graph = encode(model, parameters=parameters, inline_limit=INLINE).graphml
        back = folder / "back" / "model.onnx"
        assert decode(graph, back, parameter_folder=folder).exact
        assert back.read_bytes() == model.read_bytes()
        if parameters != "reference":
            for file in folder.glob("*.bin"):
                assert (back.parent / file.name).read_bytes() == file.read_bytes()


KINDS = st.sampled_from(["initializer", "typed", "constant", "body", "external"])
PAYLOADS = st.lists(st.tuples(KINDS, st.sampled_from(SIZES)), max_size=8)


@settings(max_examples=40)
@given(payloads=PAYLOADS, parameters=st.sampled_from(STRATEGIES), chunk=st.sampled_from([*CHUNKS, 4096]))
def test_payloads_of_sizes_at_the_borders(
    payloads: list[tuple[str, int]], parameters: ParameterStrategy, chunk: int
) -> None:
    with limited(chunk):
        goes_round(payloads, parameters)


@pytest.mark.parametrize("parameters", STRATEGIES)
@pytest.mark.parametrize("chunk", CHUNKS)
def test_all_sizes_in_a_row(chunk: int, parameters: ParameterStrategy) -> None:
    """Every size stands before and after larger and smaller ones, so that joined parts meet the border everywhere."""
    sizes = [*SIZES, *reversed(SIZES), *(INLINE + 1 for _ in range(10))] if chunk > 1 else SIZES
    with limited(chunk):
        goes_round([("initializer", size) for size in sizes], parameters)


@pytest.mark.parametrize("parameters", STRATEGIES)
def test_small_payloads_that_add_up_to_more_than_a_megabyte(tmp_path: Path, parameters: ParameterStrategy) -> None:
    """Six Add operators with weights of 200 kB each, like most CNNs: encode refused it, and verify did not see it."""
    weights = [raw(f"w{number}", scaled(200_000) + number) for number in range(6)]
    nodes = [helper.make_node("Add", [f"x{number}", f"w{number}"], [f"x{number + 1}"]) for number in range(6)]
    model = helper.make_model(helper.make_graph(nodes, "g", [], [], weights))
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    assert verify(tmp_path / "model.onnx", parameters=parameters).passed
    graph = encode(tmp_path / "model.onnx", parameters=parameters).graphml
    assert decode(graph, tmp_path / "back.onnx").exact
