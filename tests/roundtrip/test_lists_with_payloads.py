"""Long lists that were cut out, and payloads under their names, in one model: neither is taken for the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file, save_file

from graphml_onnx import decode, encode, validate, verify

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from graphml_onnx import ParameterStrategy

WEIGHT = np.arange(400, dtype=np.float32)
LISTS = {
    "ints": [*range(3000)],
    "floats": [0.5] * 3000,
    "strings": ["node"] * 3000,
    "sparse": ['x":[1,2,"$payload"'] * 600,
}
PLAIN = ["w", "__g2o__/payload/1", "$list-0123456789abcdef"]
# In JSON, the last name looks like a member with a long list: no list of the file can be passed over then.
NAMES = pytest.mark.parametrize("names", [PLAIN, [*PLAIN, 'w":[1' + "\x01" * 1000 + "]"]], ids=["plain", "like a list"])


def written(path: Path, names: Sequence[str]) -> bytes:
    """A model with long lists, and tensors with some names and others; its file."""
    texts = [b"text"] * 3000
    table = helper.make_tensor("table", TensorProto.STRING, [len(texts) + 1], [*texts, b"\xff" * 2000])
    nodes = [
        helper.make_node("Trees", ["x", *names, "table"], ["h"], domain="ai.onnx.ml", **LISTS),
        helper.make_node("Constant", [], ["c"], value=numpy_helper.from_array(WEIGHT + 1)),
        helper.make_node("Add", ["h", "c"], ["y"]),
    ]
    typed = TensorProto(name="typed", data_type=TensorProto.INT64, dims=[2000], int64_data=range(2000))
    tensors = [numpy_helper.from_array(WEIGHT + number, name) for number, name in enumerate(names, 2)]
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [400]) for name in "xy")
    graph = helper.make_graph(nodes, "g", [x], [y], [*tensors, table, typed])
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", 3)]
    data = helper.make_model(graph, opset_imports=imports, ir_version=8).SerializeToString()
    path.write_bytes(data)
    return data


@NAMES
@pytest.mark.parametrize("strategy", ["sidecar", "embedded", "reference"])
def test_both_come_back(tmp_path: Path, names: Sequence[str], strategy: ParameterStrategy) -> None:
    data = written(tmp_path / "m.onnx", names)
    encode(tmp_path / "m.onnx", tmp_path / "g.graphml", parameters=strategy)
    assert decode(tmp_path / "g.graphml", tmp_path / "b.onnx").exact
    assert (tmp_path / "b.onnx").read_bytes() == data
    assert not validate(tmp_path / "g.graphml")
    assert verify(tmp_path / "m.onnx", parameters=strategy).passed


@NAMES
@pytest.mark.parametrize("over_long", [False, True])
def test_weights_are_edited_beside_long_lists(tmp_path: Path, names: Sequence[str], over_long: bool) -> None:
    data = written(tmp_path / "m.onnx", names)
    if over_long:  # so that a residue restores the file, and the lists are not cut out
        assert data.startswith(b"\x08\x08")
        (tmp_path / "m.onnx").write_bytes(b"\x08\x88\x00" + data[2:])
    encode(tmp_path / "m.onnx", tmp_path / "g.graphml")
    assert decode(tmp_path / "g.graphml", tmp_path / "b.onnx").exact
    weights = load_file(tmp_path / "g.onnxdata")
    assert {"w", "c", "typed", *names[2:]} <= weights.keys()
    weights["w"] = weights["w"] * 2
    save_file(weights, tmp_path / "edited.safetensors")
    decoded = decode(tmp_path / "g.graphml", tmp_path / "e.onnx", parameters=tmp_path / "edited.safetensors")
    assert len(decoded.changed) == 1
    model = onnx.load(tmp_path / "m.onnx")
    model.graph.initializer[0].raw_data = ((WEIGHT + 2) * 2).tobytes()
    assert onnx.load(tmp_path / "e.onnx") == model


@NAMES
def test_a_model_with_long_lists_refers_to_its_sidecar(tmp_path: Path, names: Sequence[str]) -> None:
    written(tmp_path / "m.onnx", names)
    encode(tmp_path / "m.onnx", tmp_path / "g.graphml")
    decode(tmp_path / "g.graphml", tmp_path / "e.onnx", external=True)
    assert (tmp_path / "e.onnx").stat().st_size < (tmp_path / "m.onnx").stat().st_size - 3 * WEIGHT.nbytes
    found, model = onnx.load(tmp_path / "e.onnx"), onnx.load(tmp_path / "m.onnx")
    assert found.graph.node[0] == model.graph.node[0]
    for one, other in zip(found.graph.initializer, model.graph.initializer, strict=True):
        if other.data_type == TensorProto.STRING:
            assert one == other
        else:
            assert numpy_helper.to_array(one).tobytes() == numpy_helper.to_array(other).tobytes()
