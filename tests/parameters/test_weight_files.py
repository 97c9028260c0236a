"""Weights that are referred to in safetensors files of the user's own, by file, name and digest."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import struct
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file, save_file

import graphml_onnx
from graphml_onnx import PayloadError, StorageError, UsageError, decode, encode, preview, validate
from graphml_onnx.files.watching import Watch
from graphml_onnx.onnxfile.source import FileSource
from graphml_onnx.parameters import weight_files
from graphml_onnx.parameters.store import PayloadReference
from tests.common.command import in_process

if TYPE_CHECKING:
    from collections.abc import Mapping

    from graphml_onnx.results import ParameterStrategy

STRATEGIES: tuple[ParameterStrategy, ...] = ("sidecar", "embedded", "reference")
NAMES = ["layer.weight", "layer.bias", "norm.weight", "head/0", "ß", "$payload"]
Arrays = dict[str, np.ndarray]


def array(number: int, count: int = 400) -> np.ndarray:
    return np.arange(count, dtype=np.float32) + np.float32(number)


def model_of(weights: Mapping[str, np.ndarray], *, shuffled: bool = False) -> bytes:
    """The sum of weights; its fields in an order that protobuf would not write, if it is shuffled."""
    graph = helper.make_graph(
        [helper.make_node("Sum", ["x", *weights], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if not shuffled:
        return model.SerializeToString()
    rest = onnx.ModelProto(ir_version=8)
    model.ClearField("ir_version")
    return model.SerializeToString() + rest.SerializeToString()


def put(folder: Path, weights: Mapping[str, np.ndarray], *, shuffled: bool = False) -> Path:
    path = folder / "model.onnx"
    path.write_bytes(model_of(weights, shuffled=shuffled))
    return path


@st.composite
def cases(draw: st.DrawFn) -> tuple[Arrays, list[Arrays]]:
    """Weights of a model, some with equal content; and of files, under the same names and others."""
    numbers = st.integers(0, 3)
    model = draw(st.dictionaries(st.sampled_from(NAMES), numbers.map(array), min_size=1))
    tensors = st.builds(array, numbers, st.sampled_from([400, 300]))
    files = draw(st.lists(st.dictionaries(st.sampled_from([*NAMES, "other"]), tensors, min_size=1), min_size=1))
    return model, files


@settings(max_examples=40)
@given(case=cases(), strategy=st.sampled_from(STRATEGIES), shuffled=st.booleans())
def test_property_the_file_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    case: tuple[Arrays, list[Arrays]],
    strategy: ParameterStrategy,
    shuffled: bool,
) -> None:
    weights, files = case
    folder = tmp_path_factory.mktemp("weights")
    model = put(folder, weights, shuffled=shuffled)
    paths = []
    for number, tensors in enumerate(files):
        paths.append(folder / f"w{number}.safetensors")
        save_file(tensors, paths[-1])
    result = encode(model, folder / "graph.graphml", parameters=strategy, weights=paths)
    there = {value.tobytes() for tensors in files for value in tensors.values()}
    found = [value.nbytes for value in weights.values() if value.tobytes() in there]
    assert sum(item.bytes for item in result.weights) == sum(found)
    assert sum(item.tensors for item in result.weights) == len(found)
    assert (result.sidecar is not None) == (strategy == "sidecar" and len(found) < len(weights))
    text = result.graphml.read_text()
    assert ('<data key="format_version">4.1.0' in text) == bool(found)  # older readers take whatever they can
    assert decode(result.graphml, folder / "back.onnx", require_exact=True).exact
    assert (folder / "back.onnx").read_bytes() == model.read_bytes()
    assert validate(result.graphml) == []
    if len(found) == len(weights):
        model.unlink()
        assert decode(result.graphml, folder / "again.onnx").exact
    for number, tensors in enumerate(files):  # written again in another order, with another header
        save_file(dict(reversed(tensors.items())) | {"more": array(9, 50)}, paths[number], {"by": "somebody"})
    assert decode(result.graphml, folder / "third.onnx").exact


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model, and a checkpoint that has one of its two weights."""
    put(tmp_path, {"a.weight": array(1), "b.weight": array(2)})
    save_file({"a.weight": array(1), "b.weight": array(3), "unused": array(4)}, tmp_path / "c.safetensors")
    return tmp_path


def encoded(folder: Path, strategy: ParameterStrategy = "reference") -> Path:
    return encode(
        folder / "model.onnx", folder / "graph.graphml", parameters=strategy, weights=folder / "c.safetensors"
    ).graphml


def test_an_index_has_the_length_of_a_header_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = tmp_path / "model.safetensors.index.json"
    index.write_text('{"weight_map":{"a":"b.safetensors"}}')
    monkeypatch.setattr(weight_files, "MAX_HEADER", index.stat().st_size)
    assert weight_files.shards_of(index) == [tmp_path / "b.safetensors"]
    index.write_text(index.read_text() + " ")
    with pytest.raises(PayloadError, match="more than the limit"):
        weight_files.shards_of(index)


def test_a_weight_file_that_is_replaced_meanwhile_is_noticed(tmp_path: Path) -> None:
    save_file({"a": np.zeros(3, np.int8)}, tmp_path / "w.safetensors")
    references = [PayloadReference(0, 3, "", "a", "w.safetensors")]
    watch = Watch()
    with ExitStack() as stack:
        weight_files.open_weights(tmp_path, references, stack, watch)
    assert not watch.has_changed()
    save_file({"a": np.ones(3, np.int8)}, tmp_path / "w2.safetensors")
    (tmp_path / "w2.safetensors").replace(tmp_path / "w.safetensors")
    assert watch.has_changed()


def test_a_tensor_of_the_same_name_comes_first(tmp_path: Path) -> None:
    model = put(tmp_path, {"ones": array(0), "twos": array(0)})
    save_file({"first": array(0)}, tmp_path / "first.safetensors")
    save_file({"twos": array(0), "ones": array(0)}, tmp_path / "second.safetensors")
    files = [tmp_path / "first.safetensors", tmp_path / "second.safetensors"]
    result = encode(model, weights=files)
    assert [item.tensors for item in result.weights] == [0, 2]
    text = result.graphml.read_text()
    assert '{"file":"second.safetensors","name":"twos","length":1600,' in text
    again = encode(model, weights=files[:1], overwrite=True)
    assert again.graphml.read_text().count('{"file":"first.safetensors","name":"first",') == 2


def test_shards_by_their_index(tmp_path: Path) -> None:
    model = put(tmp_path, {"a": array(1), "b": array(2)})
    (tmp_path / "shards").mkdir()
    for name, number in (("a", 1), ("b", 2)):
        save_file({name: array(number)}, tmp_path / f"shards/{name}.safetensors")
    index = tmp_path / "shards/model.safetensors.index.json"
    index.write_text(
        json.dumps({"metadata": {"total_size": 1}, "weight_map": {"a": "a.safetensors", "b": "b.safetensors"}})
    )
    result = encode(model, weights=index)
    assert [item.bytes for item in result.weights] == [1600, 1600]
    assert '"file":"shards/b.safetensors"' in result.graphml.read_text()
    model.unlink()
    assert decode(result.graphml, model).exact


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_changed_tensor_is_refused_by_name(folder: Path, strategy: ParameterStrategy) -> None:
    graph = encoded(folder, strategy)
    save_file({"a.weight": array(5)}, folder / "c.safetensors")
    with pytest.raises(PayloadError, match=r"c\.safetensors: the tensor 'a\.weight' has SHA-256 .* saved again since"):
        decode(graph, folder / "back.onnx")
    assert [(item.code, "a.weight" in item.message) for item in validate(graph)] == [("payload-digest", True)]
    save_file({"a.weight": array(5, 3)}, folder / "c.safetensors")
    with pytest.raises(PayloadError, match=r"the tensor 'a\.weight' has 12 bytes, but the GraphML says 1,600"):
        decode(graph, folder / "back.onnx")
    save_file({"other": array(1)}, folder / "c.safetensors")
    with pytest.raises(PayloadError, match=r"c\.safetensors: lacks the tensor 'a\.weight'"):
        decode(graph, folder / "back.onnx")
    assert [item.code for item in validate(graph)] == ["store-header"]
    assert not (folder / "back.onnx").exists()


def test_a_missing_file_and_one_that_moved(folder: Path) -> None:
    graph = encoded(folder, "embedded")
    (folder / "elsewhere").mkdir()
    (folder / "c.safetensors").rename(folder / "elsewhere/c.safetensors")
    with pytest.raises(PayloadError, match=r"c\.safetensors: has weights of the model, and is missing"):
        decode(graph, folder / "back.onnx")
    assert [item.code for item in validate(graph)] == ["store-missing"]
    assert decode(graph, folder / "back.onnx", parameter_folder=folder / "elsewhere").exact


def test_the_other_functions(folder: Path) -> None:
    graph = encoded(folder)
    with graphml_onnx.open(graph) as opened:
        for parameter, number in zip(opened.parameters, (1, 2), strict=True):
            np.testing.assert_array_equal(parameter.data.numpy(), array(number))
        places = [parameter.data.location for parameter in opened.parameters]
    assert [place.file and place.file.name for place in places] == ["c.safetensors", "model.onnx"]
    content = (folder / "c.safetensors").read_bytes()
    assert content[places[0].offset or 0 :][:1600] == array(1).tobytes()
    assert not graphml_onnx.diff(graph, folder / "model.onnx").changes
    graphml_onnx.extract(graph, folder / "part.onnx", outputs=["y"])
    loaded = onnx.load(folder / "part.onnx").graph.initializer
    assert {item.name: numpy_helper.to_array(item)[0] for item in loaded} == {"a.weight": 1, "b.weight": 2}
    assert graphml_onnx.from_networkx(graphml_onnx.to_networkx(graph), parameter_folder=folder) == onnx.load(
        folder / "model.onnx"
    )
    weights = {"a.weight": array(7), "b.weight": array(2)}  # by the names of the model
    assert decode(graph, folder / "edited.onnx", parameters=weights).changed == ("a.weight: F32[400]",)
    assert preview(folder / "model.onnx", weights=folder / "c.safetensors").weights[0].bytes == 1600


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_model_that_refers_to_the_checkpoint(folder: Path, strategy: ParameterStrategy) -> None:
    """``external``: onnxruntime reads the weights from the checkpoint and the sidecar."""
    graph = encoded(folder, strategy)
    result = decode(graph, folder / "thin.onnx", external=True)
    names = {path.name for path in result.refers_to}
    assert names == {"c.safetensors"} | ({"graph.onnxdata"} if strategy == "sidecar" else set())
    computed = [
        onnxruntime.InferenceSession(path).run(None, {"x": array(0)})[0]
        for path in (result.onnx, folder / "model.onnx")
    ]
    np.testing.assert_array_equal(*computed)


@pytest.mark.parametrize("place", ["..", "other/deep", "link"])
def test_a_file_outside_the_folder_is_refused(folder: Path, place: str) -> None:
    (folder / "graphs").mkdir()
    (folder / "other/deep").mkdir(parents=True)
    shutil.copy(folder / "c.safetensors", folder / "other/deep")
    (folder / "graphs/link").symlink_to(folder / "other/deep")
    weights = folder / "graphs" / place / "c.safetensors" if place != "other/deep" else folder / place / "c.safetensors"
    with pytest.raises(UsageError, match="in the folder of the GraphML, or below it"):
        encode(folder / "model.onnx", folder / "graphs/g.graphml", weights=weights)
    assert [path.name for path in (folder / "graphs").iterdir()] == ["link"]


def test_links_lead_nowhere_out_of_the_folder(folder: Path) -> None:
    inner = folder / "inner"
    inner.mkdir()
    for name in ("model.onnx", "c.safetensors"):
        (folder / name).rename(inner / name)
    graph = encoded(inner)
    (inner / "c.safetensors").rename(inner / "real.safetensors")
    (inner / "c.safetensors").symlink_to("real.safetensors")
    assert decode(graph, inner / "back.onnx").exact  # as a data file behind such a link
    (inner / "real.safetensors").rename(folder / "real.safetensors")
    (inner / "c.safetensors").unlink()
    (inner / "c.safetensors").symlink_to(folder / "real.safetensors")
    with pytest.raises(PayloadError, match="link"):
        decode(graph, inner / "again.onnx")
    assert [item.code for item in validate(graph)] == ["store-unreadable"]
    with pytest.raises(PayloadError, match="link"):
        encode(inner / "model.onnx", inner / "new.graphml", weights=inner / "c.safetensors")
    assert not (inner / "new.graphml").exists()


@pytest.fixture
def cached(tmp_path: Path) -> Path:
    """A repository in the cache of the Hugging Face hub: a model, and its weights in two shards, all of them links."""
    repository = tmp_path / "models--org--name"
    blobs, snapshot = repository / "blobs", repository / "snapshots/0123"
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    put(blobs, {"a.weight": array(1), "b.weight": array(2)}).rename(blobs / "0a")
    save_file({"a.weight": array(1)}, blobs / "0b")
    save_file({"b.weight": array(2)}, blobs / "0c")
    shards = {"a.weight": "model-00001-of-00002.safetensors", "b.weight": "model-00002-of-00002.safetensors"}
    (blobs / "0d").write_text(json.dumps({"metadata": {"total_size": 3200}, "weight_map": shards}))
    names = ["model.onnx", *shards.values(), "model.safetensors.index.json"]
    for name, blob in zip(names, ("0a", "0b", "0c", "0d"), strict=True):
        (snapshot / name).symlink_to(Path("../../blobs") / blob)
    return repository


def test_weights_in_the_cache_of_a_hub(cached: Path) -> None:
    """The folder of the repository has both links and files."""
    snapshot = cached / "snapshots/0123"
    result = encode(
        snapshot / "model.onnx", cached / "graph.graphml", weights=snapshot / "model.safetensors.index.json"
    )
    assert result.sidecar is None
    assert [item.tensors for item in result.weights] == [1, 1]
    assert decode(result.graphml, cached / "back.onnx").exact
    assert validate(result.graphml) == []
    assert not graphml_onnx.diff(result.graphml, snapshot / "model.onnx").changes
    thin = decode(result.graphml, cached / "thin.onnx", external=True)
    assert [path.parent for path in thin.refers_to] == [snapshot, snapshot]
    assert {item.name: numpy_helper.to_array(item)[0] for item in onnx.load(thin.onnx).graph.initializer} == {
        "a.weight": 1,
        "b.weight": 2,
    }


def test_a_graph_in_a_snapshot_cannot_refer_to_blobs(cached: Path) -> None:
    snapshot = cached / "snapshots/0123"
    with pytest.raises(PayloadError, match="link") as caught:
        encode(snapshot / "model.onnx", snapshot / "g.graphml", weights=snapshot / "model.safetensors.index.json")
    assert "models--NAME" in str(caught.value.remedy)
    assert not (snapshot / "g.graphml").exists()


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("../c.safetensors", "leads out"),
        ("/etc/passwd", "leads out"),
        ("a\\\\c.safetensors", "backslash"),
        ("C:c.safetensors", "character ':'"),
        ("", "empty"),
        ("./c.safetensors", "normal form"),
        ("a//c.safetensors", "normal form"),
        ("\\u0000", "character"),
        ("\\ud800", "character"),
        ("NUL", "device"),
    ],
)
def test_hostile_places_in_a_graph(folder: Path, file: str, reason: str) -> None:
    graph = encoded(folder)
    graph.write_text(graph.read_text().replace('"file":"c.safetensors"', f'"file":"{file}"'))
    with pytest.raises(graphml_onnx.GraphMLError, match=reason):
        decode(graph, folder / "back.onnx")


@pytest.mark.parametrize(
    "payload",
    ['{"file":"c.safetensors","offset":0,', '{"file":"c.safetensors",', '{"file":1,"name":"a.weight",'],
)
def test_malformed_references(folder: Path, payload: str) -> None:
    graph = encoded(folder)
    graph.write_text(graph.read_text().replace('{"file":"c.safetensors","name":"a.weight",', payload))
    with pytest.raises(graphml_onnx.GraphMLError, match="payload"):
        decode(graph, folder / "back.onnx")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is not JSON"),
        (b"\xff", "is not JSON"),
        (b"[]", "has no weight_map"),
        (b'{"weight_map":[]}', "has no weight_map"),
        (b'{"weight_map":{"a":"../c.safetensors"}}', "leads out"),
        (b'{"weight_map":{"a":"/etc/passwd"}}', "leads out"),
        (b'{"weight_map":{"a":3}}', "empty"),
        (b'{"weight_map":{"a":"x","a":"x"}}', "duplicate key"),
        (b'{"weight_map":{"a":"model.onnx"}}', "safetensors"),
    ],
)
def test_hostile_index_files(folder: Path, content: bytes, reason: str) -> None:
    index = folder / "c.safetensors.index.json"
    index.write_bytes(content)
    with pytest.raises(PayloadError, match=reason):
        encode(folder / "model.onnx", folder / "graph.graphml", weights=index)
    assert not (folder / "graph.graphml").exists()


@pytest.mark.parametrize(
    "content",
    [b"", struct.pack("<Q", 1 << 60) + b"{}", struct.pack("<Q", 2) + b"{}" + bytes(9), b"PK\3\4" + bytes(90)],
)
def test_files_that_are_no_safetensors(folder: Path, content: bytes) -> None:
    graph = encoded(folder)
    (folder / "c.safetensors").write_bytes(content)
    with pytest.raises(PayloadError, match=r"c\.safetensors: "):
        encode(folder / "model.onnx", folder / "new.graphml", weights=folder / "c.safetensors")
    with pytest.raises(PayloadError, match=r"c\.safetensors: "):
        decode(graph, folder / "back.onnx")
    assert [item.code for item in validate(graph)] == ["store-header"]


def test_a_file_that_changes_while_it_is_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = itertools.count()
    read = FileSource.read

    def touching(self: FileSource, offset: int, length: int) -> bytes:
        if self.path.name == "c.safetensors" and next(reads) == 3:  # after its header
            os.utime(self.path, ns=(1, 1))
        return read(self, offset, length)

    monkeypatch.setattr(FileSource, "read", touching)
    with pytest.raises(StorageError, match="changed while it was read"):
        encoded(folder)
    assert not (folder / "graph.graphml").exists()


def test_outputs_are_not_written_over_the_weights(folder: Path) -> None:
    with pytest.raises(UsageError, match="input as well as an output"):
        encode(folder / "model.onnx", folder / "c.safetensors", weights=folder / "c.safetensors", overwrite=True)
    graph = encoded(folder)
    with pytest.raises(UsageError, match="input as well as an output"):
        decode(graph, folder / "c.safetensors", overwrite=True)
    assert load_file(folder / "c.safetensors").keys() == {"a.weight", "b.weight", "unused"}


def test_the_command(folder: Path) -> None:
    ran = in_process(
        folder, "encode", "model.onnx", "-o", "g.graphml", "--params", "reference", "--weights", "c.safetensors"
    )
    assert ran.code == 0, ran.err
    assert "weights    c.safetensors (1 tensor of the model, 1.6 kB)" in ran.out
    ran = in_process(folder, "encode", "model.onnx", "--dry-run", "--json", "--weights", "c.safetensors")
    assert json.loads(ran.out)["weights"] == [{"file": "c.safetensors", "tensors": 1, "bytes": 1600}]
    assert in_process(folder, "decode", "g.graphml", "-o", "back.onnx", "--require-exact").code == 0
    assert in_process(folder, "validate", "g.graphml").code == 0
    (folder / "c.safetensors").unlink()
    ran = in_process(folder, "decode", "g.graphml", "-o", "b.onnx")
    assert ran.code == 65
    assert "or name the folder that it is in: --parameter-folder" in ran.err
    ran = in_process(folder, "encode", "model.onnx", "--weights", "c.safetensors")
    assert (ran.code, "c.safetensors: no such file" in ran.err) == (66, True)
