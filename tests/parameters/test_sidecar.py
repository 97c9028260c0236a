"""A sidecar is a safetensors file with the names of the model: what is in it, read by the library itself."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import safetensors
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from graphml_onnx import PayloadError, decode, encode, preview
from graphml_onnx.codec import payload_names
from graphml_onnx.codec.keys import BASE_VERSION
from graphml_onnx.encoding import placement
from tests.common.command import in_process
from tests.common.limited import limited, shortened
from tests.common.roundtrip import through_memory

FIXTURES = Path(__file__).parents[2] / "fixtures"
RESERVED = payload_names.RESERVED
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
SIZE = 400  # elements: more than stands in the text


def floats(name: str | bytes, size: int = SIZE) -> TensorProto:
    tensor = numpy_helper.from_array(np.arange(size, dtype=np.float32) + len(name))
    if isinstance(name, str):
        tensor.name = name
        return tensor
    # A name that is not UTF-8 cannot be set, but read.
    return TensorProto.FromString(tensor.SerializeToString() + b"\x42" + bytes([len(name)]) + name)


def model_of(*initializers: TensorProto, nodes: list[onnx.NodeProto] | None = None) -> onnx.ModelProto:
    graph = onnx.GraphProto(name="g", node=nodes or [])
    graph.initializer.extend(initializers)
    return helper.make_model(graph)


def sidecar_of(model: onnx.ModelProto, folder: Path, inline_limit: int = 1024) -> dict[str, dict[str, object]]:
    """The tensors of the sidecar, by the library; the model comes back."""
    data = model.SerializeToString()
    (folder / "model.onnx").write_bytes(data)
    result = encode(folder / "model.onnx", folder / "graph.graphml", overwrite=True, inline_limit=inline_limit)
    assert decode(result.graphml, folder / "back.onnx", overwrite=True).exact
    assert (folder / "back.onnx").read_bytes() == data
    assert result.sidecar is not None
    return dict(safetensors.deserialize(result.sidecar.read_bytes()))


def metadata_of(sidecar: Path) -> dict[str, str]:
    content = sidecar.read_bytes()
    found: dict[str, str] = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])["__metadata__"]
    return found


def test_initializers_have_their_names_types_and_shapes(tmp_path: Path) -> None:
    matrix = numpy_helper.from_array(np.arange(600, dtype=np.float16).reshape(20, 30), "encoder.weight")
    found = sidecar_of(model_of(matrix, floats("bias")), tmp_path)
    assert {name: (item["dtype"], item["shape"]) for name, item in found.items()} == {
        "encoder.weight": ("F16", [20, 30]),
        "bias": ("F32", [SIZE]),
    }
    assert bytes(found["encoder.weight"]["data"]) == matrix.raw_data  # type: ignore[arg-type]


def test_names_wherever_tensors_stand(tmp_path: Path) -> None:
    indices = TensorProto(name="", data_type=TensorProto.INT64, dims=[SIZE], raw_data=np.arange(SIZE).tobytes())
    sparse = onnx.SparseTensorProto(values=floats("sparse"), indices=indices, dims=[1000])
    body = helper.make_graph([helper.make_node("Constant", [], ["c"], value=floats(""))], "b", [], [], [floats("/w")])
    nodes = [
        helper.make_node("Constant", [], ["made"], name="/layer/Constant", value=floats("")),
        helper.make_node("Constant", [], ["unnamed"], value=floats("")),
        helper.make_node("Constant", [], ["s"], name="S", sparse_value=sparse),
        helper.make_node("Other", [], ["o"], name="op", domain="d", table=floats(""), several=[floats(""), floats("")]),
        helper.make_node("If", ["x"], ["i"], name="/If", then_branch=body, else_branch=body),
        helper.make_node("Both", [], ["b"], name="both", domain="d", graphs=[body]),
    ]
    model = model_of(nodes=nodes)
    model.graph.sparse_initializer.append(sparse)
    inner = helper.make_node("Constant", [], ["f"], value=floats(""))
    function = helper.make_function("d", "Fun", [], ["f"], [inner], [helper.make_opsetid("", 21)])
    function.overload = "one"
    model.functions.append(function)
    both = TensorProto(name="two", data_type=TensorProto.FLOAT, dims=[SIZE], raw_data=bytes(4 * SIZE))
    both.float_data.extend([1.0] * SIZE)
    model.graph.initializer.append(both)
    assert set(sidecar_of(model, tmp_path)) == {
        "sparse", "sparse/indices", "two", "two/float_data",
        "/layer/Constant", "unnamed", "S", "S/indices", "op/table", "op/several[0]", "op/several[1]",
        "/If/then_branch/w", "/If/then_branch/c", "/If/else_branch/w", "/If/else_branch/c",
        "both/graphs[0]/w", "both/graphs[0]/c", "d::Fun::one/f",
    }  # fmt: skip


@pytest.mark.parametrize(
    "name", ["", "__metadata__", RESERVED, f"{RESERVED}payload/0", "x" * 1025, b"\xff\xfe"], ids=lambda name: name[:20]
)
def test_names_that_cannot_be_used(name: str | bytes, tmp_path: Path) -> None:
    found = sidecar_of(model_of(floats("good"), floats(name)), tmp_path)
    assert set(found) == {"good", f"{RESERVED}payload/1"}


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "a\0b", "\u2028", '"', "\\", "a/b", "<&>", "é", "\U0001f600", " "]
)
def test_names_that_look_strange_are_kept(name: str, tmp_path: Path) -> None:
    assert set(sidecar_of(model_of(floats(name)), tmp_path)) == {name}


def test_the_second_of_a_name_has_another(tmp_path: Path) -> None:
    """Initializers of one name, and one that is called as a body's is."""
    body = helper.make_graph([], "b", [], [], [floats("w")])
    node = helper.make_node("If", ["x"], ["i"], name="If", then_branch=body)
    model = model_of(floats("a"), floats("a"), floats("If/then_branch/w"), nodes=[node])
    found = sidecar_of(model, tmp_path)
    assert set(found) == {"a", "If/then_branch/w", f"{RESERVED}payload/1", f"{RESERVED}payload/3"}


def test_the_same_content_is_kept_under_both_names(tmp_path: Path) -> None:
    left, right = floats("one"), floats("two")
    found = sidecar_of(model_of(left, right), tmp_path)
    assert bytes(found["one"]["data"]) == bytes(found["two"]["data"])  # type: ignore[arg-type]


PACKED = {"INT32": "int32_data", "INT64": "int64_data", "UINT64": "uint64_data"}
KNOWN = {"FLOAT": "F32", "DOUBLE": "F64", "FLOAT16": "F16", "BFLOAT16": "BF16", "BOOL": "BOOL", "COMPLEX64": "C64",
         "INT8": "I8", "INT16": "I16", "INT32": "I32", "INT64": "I64", "UINT8": "U8", "UINT16": "U16", "UINT32": "U32",
         "UINT64": "U64", "FLOAT8E4M3FN": "F8_E4M3", "FLOAT8E5M2": "F8_E5M2", "FLOAT8E4M3FNUZ": "F8_E4M3FNUZ",
         "FLOAT8E5M2FNUZ": "F8_E5M2FNUZ", "FLOAT8E8M0": "F8_E8M0"}  # fmt: skip
WIDTHS = {"DOUBLE": 8, "COMPLEX64": 8, "INT64": 8, "UINT64": 8, "FLOAT": 4, "INT32": 4, "UINT32": 4, "FLOAT16": 2,
          "BFLOAT16": 2, "INT16": 2, "UINT16": 2}  # fmt: skip


@pytest.mark.parametrize("name", sorted(set(TensorProto.DataType.keys()) - {"UNDEFINED", "STRING"}))
def test_every_type(name: str, tmp_path: Path) -> None:
    """With its type where safetensors has it, and otherwise as bytes; then the metadata say what it is."""
    count = WIDTHS.get(name, 16 if name == "COMPLEX128" else 1)
    tensor = TensorProto(
        name="w", data_type=TensorProto.DataType.Value(name), dims=[50, 40], raw_data=bytes(2000 * count)
    )
    found = sidecar_of(model_of(tensor), tmp_path)["w"]
    types = metadata_of(tmp_path / "graph.onnxdata").get("onnx_types")
    if name in KNOWN:
        assert (found["dtype"], found["shape"], types) == (KNOWN[name], [50, 40], None)
    else:
        assert (found["dtype"], found["shape"]) == ("U8", [2000 * count])
        assert types is not None
        assert json.loads(types) == {"w": f"{name}[50,40]"}


@pytest.mark.parametrize("dims", [[399], [-1, -400], [2, 3], [], [0], [2**62, 2**62]])
def test_content_that_contradicts_its_shape_is_bytes(dims: list[int], tmp_path: Path) -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=dims, raw_data=bytes(1600))
    assert sidecar_of(model_of(tensor), tmp_path)["w"]["shape"] == [1600]


def test_typed_fields(tmp_path: Path) -> None:
    tensors = [
        TensorProto(name="f", data_type=TensorProto.FLOAT, dims=[SIZE], float_data=[0.5] * SIZE),
        TensorProto(name="d", data_type=TensorProto.DOUBLE, dims=[SIZE], double_data=[0.5] * SIZE),
        TensorProto(name="i", data_type=TensorProto.INT64, dims=[1100], int64_data=[1] * 1100),
        TensorProto(name="h", data_type=TensorProto.FLOAT16, dims=[1100], int32_data=[1] * 1100),
        TensorProto(name="c", data_type=TensorProto.COMPLEX64, dims=[SIZE // 2], float_data=[0.5] * SIZE),
    ]
    found = sidecar_of(model_of(*tensors), tmp_path)
    assert {name: item["dtype"] for name, item in found.items()} == {
        "f": "F32", "d": "F64", "i": "U8", "h": "U8", "c": "U8",
    }  # fmt: skip
    assert json.loads(metadata_of(tmp_path / "graph.onnxdata")["onnx_types"]) == {
        "i": "INT64[1100]", "h": "FLOAT16[1100]", "c": "COMPLEX64[200]",
    }  # fmt: skip


def test_the_metadata_say_what_the_file_is(tmp_path: Path) -> None:
    model = model_of(floats("w"), floats("long", 3 * SIZE))
    found = sidecar_of(model, tmp_path)
    digests = "".join(hashlib.sha256(bytes(found[name]["data"])).hexdigest() + "\n" for name in ("w", "long"))  # type: ignore[arg-type]
    assert metadata_of(tmp_path / "graph.onnxdata") == {
        "format": "graphml-onnx",
        "format_version": BASE_VERSION,
        "source_sha256": hashlib.sha256(model.SerializeToString()).hexdigest(),
        "content_sha256": hashlib.sha256(digests.encode()).hexdigest(),
    }


def test_data_files_and_empty_ones(tmp_path: Path) -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="a/w.bin")
    nothing = TensorProto(name="n", data_type=TensorProto.FLOAT, dims=[0], data_location=TensorProto.EXTERNAL)
    nothing.external_data.add(key="location", value="empty.bin")
    (tmp_path / "a").mkdir()
    (tmp_path / "a/w.bin").write_bytes(b"12345678")
    (tmp_path / "empty.bin").write_bytes(b"")
    found = sidecar_of(model_of(floats("inside"), tensor, nothing), tmp_path)
    assert {name: item["shape"] for name, item in found.items()} == {
        "inside": [SIZE], f"{RESERVED}file/a/w.bin": [8], f"{RESERVED}file/empty.bin": [0],
    }  # fmt: skip


@pytest.mark.parametrize("name", sorted(str(path.relative_to(FIXTURES)) for path in FIXTURES.rglob("*.onnx")))
def test_the_library_opens_every_sidecar(name: str, tmp_path: Path) -> None:
    """With PyTorch, which has all the types; the names of initializers of the main graph are all there."""
    torch = pytest.importorskip("safetensors.torch")
    data = shortened((FIXTURES / name).read_bytes())
    model = onnx.ModelProto.FromString(data)
    if any(tensor.data_location == TensorProto.EXTERNAL for tensor in model.graph.initializer):
        pytest.skip("its data files are elsewhere")
    (tmp_path / "model.onnx").write_bytes(data)
    result = encode(tmp_path / "model.onnx")
    if result.sidecar is None:
        return
    tensors = torch.load_file(result.sidecar)
    raw = {t.name: tuple(t.dims) for t in model.graph.initializer if len(t.raw_data) > 1024 and t.data_type in (1, 10)}
    assert {name: tuple(tensors[name].shape) for name in raw} == raw


@pytest.mark.slow
def test_100_000_tensors(tmp_path: Path) -> None:
    count = 100_000
    tensors = [TensorProto(name=f"layer.{n}.w", data_type=2, dims=[33], raw_data=n.to_bytes(33)) for n in range(count)]
    assert len(sidecar_of(model_of(*tensors), tmp_path, inline_limit=0)) == count


def test_a_model_with_more_names_than_a_header_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement, "MAX_HEADER", 600)
    from graphml_onnx import ModelError

    (tmp_path / "model.onnx").write_bytes(model_of(*(floats(f"w{n}") for n in range(9))).SerializeToString())
    with pytest.raises(ModelError, match="names of its 9 tensors"):
        encode(tmp_path / "model.onnx")
    assert encode(tmp_path / "model.onnx", parameters="embedded").sidecar is None


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_with_small_chunks(chunk: int, tmp_path: Path) -> None:
    wide = TensorProto(name="i", data_type=TensorProto.INT64, dims=[200], raw_data=bytes(range(200)) * 8)
    with limited(chunk):
        found = sidecar_of(model_of(floats("a", 300), wide, floats("b", 301)), tmp_path)
    assert list(found) != []


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), st.integers(1, 80)), max_size=8)
)
def test_any_names_come_back(tensors: list[tuple[str, int]]) -> None:
    made = [TensorProto(name=name, data_type=2, dims=[size], raw_data=bytes([size]) * size) for name, size in tensors]
    data = model_of(*made).SerializeToString()
    trip = through_memory(data, inline_limit=0)
    assert trip.exact
    assert trip.decoded == data


def test_files_of_before_are_refused_by_version(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(model_of(floats("a")).SerializeToString())
    graph = encode(tmp_path / "model.onnx", tmp_path / "g.graphml").graphml
    text = graph.read_text("utf-8")
    old = text.replace(f'"format_version">{BASE_VERSION}', '"format_version">2.0.0')
    graph.write_text(old.replace('{"name":"a","length"', '{"offset":0,"length"'), "utf-8")
    with pytest.raises(Exception, match=r"format '2\.0\.0' is not format 4") as caught:
        decode(graph, tmp_path / "x.onnx")
    assert not isinstance(caught.value, PayloadError)


def test_another_name_for_the_sidecar(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(model_of(floats("a")).SerializeToString())
    ran = in_process(tmp_path, "encode", "model.onnx", "-o", "g.graphml", "--params-output", "w.safetensors", "--json")
    assert ran.code == 0, ran.err
    assert json.loads(ran.out)["sidecar"] == "w.safetensors"
    assert {path.name for path in tmp_path.iterdir()} == {"model.onnx", "g.graphml", "w.safetensors"}
    assert decode(tmp_path / "g.graphml", tmp_path / "back.onnx").exact
    told = preview(tmp_path / "model.onnx", tmp_path / "g.graphml", parameter_output=tmp_path / "w.safetensors")
    assert set(told.existing) == {tmp_path / "g.graphml", tmp_path / "w.safetensors"}


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--params-output none/w", "beside the GraphML"),
        ("--params-output ../w", "beside the GraphML"),
        ("--params-output a:b", "refer to a file named 'a:b'"),
        ("--params-output w --params embedded", "only a sidecar"),
        ("--params-output w --params reference", "only a sidecar"),
        ("--params-output model.onnx --force", "input"),
        ("--params-output model_hierarchical_graph.graphml", "two outputs"),
        ("model.onnx --params-output w", "one model"),
    ],
)
def test_a_sidecar_where_none_can_be(tmp_path: Path, options: str, told: str) -> None:
    (tmp_path / "model.onnx").write_bytes(model_of(floats("a")).SerializeToString())
    ran = in_process(tmp_path, "encode", "model.onnx", *options.split())
    assert (ran.code, ran.out) == (2, ""), ran.err
    assert re.search(told, ran.err), ran.err
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]
