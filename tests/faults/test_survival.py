"""Rows 4 to 33 of the survival table that take more than one fault, or that end well: the model comes back.

Each test has the number of its row. ``processes`` runs the command as its users do; the others run many times, in this
process.
"""

from __future__ import annotations

import json
import os
import random
import re
from pathlib import Path
from typing import TYPE_CHECKING

import onnx
import pytest
from onnx import TensorProto, helper

from graphml_onnx.graphml import xml
from graphml_onnx.onnxfile import skeleton
from tests.campaign.wire_models import is_model
from tests.common import external_models, seeds
from tests.common.command import Ran, as_process, contents, in_process, memory_limit, tells_memory
from tests.editing import rewriting
from tests.faults import graph_text
from tests.faults.making_faults import (
    BOTH_DIGESTS,
    CHANGED,
    DECODE,
    DOCTYPES,
    ENCODE,
    ENTITIES,
    METADATA,
    RELU,
    Fault,
    ends_well,
    external,
    graph,
    model,
    nested_model,
    put,
    recoded,
    replaced,
)
from tests.strategies import models, wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.descriptor import Descriptor

# --- rows 4 and 5: models that are damaged or too large ---------------------------------------------------------------


def test_4_a_model_cut_off_at_every_byte(folder: Path) -> None:
    whole = onnx.helper.make_model(RELU, producer_name="test").SerializeToString()
    outcomes = set()
    for end in range(len(whole)):
        (folder / "bad.onnx").write_bytes(whole[:end])
        before = contents(folder)
        ran = in_process(folder, "encode", "bad.onnx", "-o", "cut.graphml")
        outcomes.add(ran.code)
        if ran.code == 0:
            assert in_process(folder, "decode", "cut.graphml", "-o", "cut.onnx", "--require-exact").code == 0
            assert (folder / "cut.onnx").read_bytes() == whole[:end]
            for made in folder.glob("cut.*"):
                made.unlink()
        else:
            assert re.fullmatch(r"g2o: bad\.onnx: .* \(.*\)\n", ran.err)
        assert contents(folder) == before
    assert outcomes == {0, 65}


def test_4_a_model_without_a_graph(folder: Path) -> None:
    model(onnx.ModelProto(ir_version=10, producer_name="x").SerializeToString())(folder)
    assert "no graph" in in_process(folder, *ENCODE.split()).err


def test_5_a_skeleton_beyond_the_limit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(skeleton, "MAX_SKELETON", 100)
    ends_well(Fault(5, "", ENCODE, model(seeds.small_models()["typed"]), ("2 GiB",)), folder, in_process)


@pytest.mark.slow
def test_5_a_skeleton_of_two_gib(folder: Path) -> None:
    """A sparse file: one string of 2 GiB."""

    def change(folder: Path) -> None:
        length = b"\x80\x80\x80\x80\x08"  # 2**31
        with (folder / "bad.onnx").open("wb") as file:
            file.write(b"\x08\x0a\x32" + length)
            file.truncate(file.tell() + 2**31)
            file.seek(0, os.SEEK_END)
            file.write(b"\x3a\x00")

    change(folder)
    ran = as_process(folder, *ENCODE.split())
    assert (ran.code, ran.out) == (65, "")
    assert "2 GiB" in ran.err


# --- rows that end well -----------------------------------------------------------------------------------------------


def comes_back(folder: Path, data: bytes, *options: str, run: Callable[..., Ran] = in_process) -> Ran:
    """Encodes and decodes; the model is byte-identical, and the command knows it."""
    (folder / "good.onnx").write_bytes(data)
    encoded = run(folder, "encode", "good.onnx", "-o", "good.graphml", "--force", *options)
    assert encoded.code == 0, encoded.err
    decoded = run(folder, "decode", "good.graphml", "-o", "again.onnx", "--json", "--force")
    assert (decoded.code, json.loads(decoded.out)["exact"]) == (0, True)
    assert (folder / "again.onnx").read_bytes() == data
    return encoded


def test_6_thirty_three_subgraphs(folder: Path) -> None:
    comes_back(folder, nested_model(33), run=as_process)


def changed(name: str, *changes: str) -> bytes:
    """A small model after many changes of these kinds; those after which ONNX reads no model are left out."""
    rng = random.Random(name)
    fields = wire.parse(seeds.small_models()[name])
    for change in changes * 20:
        candidate = wire.mutate(fields, rng, only=(change,))
        if is_model(wire.serialise(candidate)):
            fields = candidate
    assert wire.serialise(fields) != seeds.small_models()[name]
    return wire.serialise(fields)


def awkward_values() -> bytes:
    """NaN of all kinds, -0, denormals; text that is not UTF-8, or that XML cannot hold."""
    floats = (0x7F800001, 0xFFC00000, 0x7FC00001, 0x80000000, 1, 0x807FFFFF, 0x7F800000, 0xFF800000)
    raw = b"".join(bits.to_bytes(4, "little") for bits in floats)
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[len(floats)], raw_data=raw)
    made = helper.make_model(helper.make_graph(RELU.node, "g", [], [], [tensor]))
    fields = wire.parse(made.SerializeToString())
    texts = [bytes(range(32)), b"\x7f", b"\xff\xfe", b"\xed\xa0\x80", "\ufffe\uffff\u2028\x85".encode(), b"\r\n\t "]
    properties = tuple(
        wire.Field(14, wire.BYTES, (wire.Field(1, wire.BYTES, text), wire.Field(2, wire.BYTES, text))) for text in texts
    )
    typed = tuple(wire.Field(4, wire.FIXED32, bits) for bits in floats)
    graph = (wire.Field(5, wire.BYTES, (wire.Field(2, wire.VARINT, 1), *typed)),)
    return wire.serialise((*fields, wire.Field(7, wire.BYTES, graph), *properties))


def every_field(descriptor: Descriptor = wire.MODEL, depth: int = 4) -> wire.Fields:
    """Each field of each message, as far as they reach, set to something."""
    fields: list[wire.Field] = []
    for known in descriptor.fields:
        if known.message_type is None:
            fields += dict(models.samples(known))["set"]
        elif depth:
            fields.append(wire.Field(known.number, wire.BYTES, every_field(known.message_type, depth - 1)))
    return tuple(fields)


SMALL = Path(__file__).parents[2] / "fixtures" / "small"
BYTE_EXACT: dict[str, Callable[[], bytes]] = {
    "7: numbers not packed, over-long, in any order, twice, in pieces": lambda: changed(
        "training", "_repack", "_shuffle", "_widen", "_duplicate", "_split"
    ),
    "8: fields, groups and enum values that ONNX does not know": lambda: changed(
        "function", "_add_unknown", "_change_number"
    ),
    "9: awkward numbers and texts": awkward_values,
    "10: every field of every message": lambda: wire.serialise(every_field()),
    "11: every data type, raw": (SMALL / "all_types.onnx").read_bytes,
    "11: every data type, typed": (SMALL / "typed_data.onnx").read_bytes,
}


@pytest.mark.parametrize("row", BYTE_EXACT)
@pytest.mark.parametrize("parameters", ["sidecar", "embedded"])
def test_7_to_11_come_back_byte_for_byte(folder: Path, row: str, parameters: str) -> None:
    """Here the real command; what generates such models by the thousand is in codec/test_roundtrip_property.py."""
    comes_back(folder, BYTE_EXACT[row](), "--params", parameters, run=as_process)


def awkward_graphs() -> dict[str, onnx.GraphProto]:
    x = helper.make_empty_tensor_value_info("x")

    def chain(*ends: tuple[str, str], name: str = "same") -> list[onnx.NodeProto]:
        return [helper.make_node("Relu", [source], [target], name=name) for source, target in ends]

    return {
        "duplicate names": helper.make_graph(chain(("x", "y"), ("x", "y"), ("y", "z")), "g", [x, x], [x, x]),
        "empty names": helper.make_graph(chain(("", ""), ("", ""), name=""), "", [], []),
        "a cycle": helper.make_graph(chain(("a", "b"), ("b", "a")), "g", [], []),
        "an operator on itself": helper.make_graph(chain(("a", "a")), "g", [], []),
        "dangling inputs": helper.make_graph(chain(("nowhere", "y")), "g", [x], [x]),
        "unsorted operators": helper.make_graph(chain(("y", "z"), ("x", "y")), "g", [x], [x]),
        "an output that is an input": helper.make_graph([], "g", [x], [x]),
    }


def test_12_all_of_them_as_a_process(folder: Path) -> None:
    merged = onnx.GraphProto()
    for each in awkward_graphs().values():
        merged.MergeFrom(each)
    comes_back(folder, helper.make_model(merged).SerializeToString(), run=as_process)


REPORTED = {
    "duplicate names": {"tensor-twice", "name-twice"},
    "a cycle": {"cycle", "name-twice"},
    "an operator on itself": {"cycle"},
    "dangling inputs": {"dangling-input"},
    "unsorted operators": {"not-sorted", "name-twice"},
}


@pytest.mark.parametrize("name", awkward_graphs())
def test_12_awkward_graphs_come_back_and_validate_reports_them(folder: Path, name: str) -> None:
    comes_back(folder, helper.make_model(awkward_graphs()[name]).SerializeToString())
    told = set(re.findall(r"^good\.graphml:\d+: model ([a-z-]+): ", validated(folder), re.MULTILINE))
    assert told == REPORTED.get(name, set())


def validated(folder: Path) -> str:
    ran = in_process(folder, "validate", "good.graphml")
    assert (ran.code, ran.err) == (0, "")
    assert in_process(folder, "validate", "good.graphml", "--strict").code == (": model " in ran.out)
    return ran.out


# Prints the name of every file that is opened and whose name ends so.
OPENED = """
def watch(event, arguments):
    if event == "open" and str(arguments[0]).endswith({names!r}):
        print("opened", arguments[0])
sys.addaudithook(watch)
"""


@pytest.mark.parametrize(
    "location", ["../secret.bin", "/secret.bin", "..\\secret.bin", "a/../../secret.bin", "a\0secret.bin"]
)
def test_13_no_file_elsewhere_is_opened(folder: Path, location: str) -> None:
    (folder.parent / "secret.bin").write_bytes(bytes(40))
    external(location)(folder)
    ran = as_process(folder, *ENCODE.split(), prologue=OPENED.format(names=("secret.bin",)))
    assert (ran.code, ran.out) == (65, "")


@pytest.mark.parametrize("name", ["../secret.bin", "/secret.bin", "..\\secret.bin", "a/secret.bin"])
def test_29_no_file_elsewhere_is_opened(folder: Path, name: str) -> None:
    (folder.parent / "secret.bin").write_bytes(bytes(40))
    replaced(r">graph\.onnxdata<", f">{name}<")(folder)
    ran = as_process(folder, *DECODE.split(), prologue=OPENED.format(names=("secret.bin",)))
    assert (ran.code, ran.out) == (65, "")


@pytest.mark.skipif(not hasattr(os, "O_NOFOLLOW"), reason="the system cannot be told not to follow links")
def test_14_a_link_that_is_put_there_in_the_last_moment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look and the opening: it is not followed."""
    (folder / "secret").write_bytes(b"secret")
    (folder / "secret").chmod(0o600)
    tensor = external_models.external("wanted", "w.bin", 1)
    (folder / "bad.onnx").write_bytes(external_models.model_with(tensor).SerializeToString())
    (folder / "w.bin").write_bytes(bytes(4))
    honest = os.open

    def opened(path: object, *arguments: int, **options: int) -> int:
        if path == "w.bin":
            (folder / "w.bin").unlink()
            (folder / "w.bin").symlink_to("secret")
        return honest(path, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", opened)
    monkeypatch.setattr(os, "supports_dir_fd", {*os.supports_dir_fd, opened})
    ran = in_process(folder, "encode", "bad.onnx", "-o", "out.graphml")
    assert ran.code in (65, 66)
    assert "'wanted'" in ran.err
    assert not (folder / "out.graphml").exists()


def test_18_a_bare_relative_model_path(folder: Path) -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.UINT8, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="w.bin")
    (folder / "w.bin").write_bytes(b"abcd")
    data = helper.make_model(helper.make_graph([], "g", [], [], [tensor])).SerializeToString()
    comes_back(folder, data, run=as_process)


LITTLE_MEMORY = memory_limit(100)


@tells_memory
@pytest.mark.parametrize("name", ENTITIES)
def test_19_a_bomb_takes_no_memory(folder: Path, name: str) -> None:
    graph(ENTITIES[name])(folder)
    assert as_process(folder, *DECODE.split(), prologue=LITTLE_MEMORY).code == 65


@pytest.mark.parametrize("name", ["an external entity", "an external parameter entity", "a DTD elsewhere"])
def test_20_no_other_file_is_opened(folder: Path, name: str) -> None:
    (folder / "secret.txt").write_text("secret")
    (folder / "other.dtd").write_text("<!ELEMENT graphml ANY>")
    graph(DOCTYPES[name])(folder)
    watch = OPENED.format(names=(".txt", ".dtd"))
    ran = as_process(folder, *DECODE.split(), prologue=watch)
    assert (ran.code, ran.out) == (65, "")


def test_21_eleven_megabytes_of_text_in_one_element(folder: Path) -> None:
    text = "a line of text & <markup>\n" * 440_000
    comes_back(folder, helper.make_model(RELU, doc_string=text).SerializeToString(), run=as_process)


@pytest.mark.slow
def test_21_a_gigabyte_of_text_in_one_element(folder: Path) -> None:
    raw = bytes(range(256)) * 3 * 2**20  # 768 MiB, which are 1 GiB of base64
    tensor = TensorProto(name="w", data_type=TensorProto.UINT8, dims=[len(raw)], raw_data=raw)
    data = helper.make_model(helper.make_graph([], "g", [], [], [tensor])).SerializeToString()
    comes_back(folder, data, "--params", "embedded")


def test_21_text_beyond_the_limit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xml, "MAX_TEXT", 1000)
    change = graph(graph_text.graph(name="x" * 1_000_000))
    ends_well(Fault(21, "", DECODE, change, ("line", "'name'", "longer than 1,000")), folder, in_process)


@pytest.mark.parametrize(
    "made",
    [
        pytest.param(lambda value: f"{value[:2]}<!-- a comment -->{value[2:]}", id="23: a comment"),
        pytest.param(lambda value: f"<!---->{value}<!---->", id="23: comments around"),
        pytest.param(lambda value: f"{value[:2]}<?tool was here?>{value[2:]}", id="23: a processing instruction"),
        pytest.param(lambda value: f"{value[:1]}<![CDATA[{value[1:]}]]>", id="23: CDATA"),
        pytest.param(lambda value: f"<![CDATA[{value[:3]}]]><![CDATA[{value[3:]}]]>", id="23: CDATA twice"),
        pytest.param(lambda value: "".join(f"&#{ord(character)};" for character in value), id="23: references"),
    ],
)
def test_23_what_stands_within_data_leaves_the_value_intact(folder: Path, made: Callable[[str], str]) -> None:
    file = folder / "graph.graphml"
    text, count = re.subn(
        r'(<data key="(?:op_type|name|inputs|outputs)">)([^<&]+)', lambda m: m[1] + made(m[2]), file.read_text("utf-8")
    )
    file.write_text(text, "utf-8")

    assert count > 5
    assert as_process(folder, *DECODE.split(), "--require-exact").code == 0


def test_24_a_byte_order_mark(folder: Path) -> None:
    recoded(lambda data: b"\xef\xbb\xbf" + data)(folder)
    assert as_process(folder, *DECODE.split(), "--require-exact").code == 0


def test_25_a_graph_cut_off_at_any_line(folder: Path) -> None:
    file = folder / "graph.graphml"
    lines = file.read_bytes().splitlines(keepends=True)
    for count in range(1, len(lines)):
        file.write_bytes(b"".join(lines[:count]))
        before = contents(folder)
        ran = in_process(folder, *DECODE.split())
        assert (ran.code, ran.out) == (65, "")
        assert re.fullmatch(r"g2o: graph\.graphml: line \d+: .*\)\n", ran.err)
        assert contents(folder) == before


def test_28_a_graph_that_other_tools_have_saved(folder: Path) -> None:
    """Indented, in another order, renumbered, with keys of its own; all habits are in test_rewritten_graphs.py."""
    habits = ["shuffled", "renumbered", "keys_renumbered", "with_own_keys", "in_columns", "indented"]
    recoded(lambda data: rewriting.with_crlf(rewriting.rewritten(data, habits, random.Random(28))))(folder)
    original = (folder / "model.onnx").read_bytes()
    ran = as_process(folder, *DECODE.split(), "--require-exact")
    assert (ran.code, ran.err) == (0, "")
    assert (folder / "model.onnx").read_bytes() == original


def test_28_a_graph_that_networkx_has_saved(folder: Path) -> None:
    recoded(rewriting.through_networkx)(folder)
    assert as_process(folder, *DECODE.split(), "--require-exact").code == 0


def test_30_any_byte_changed_in_the_sidecar(folder: Path) -> None:
    sidecar = folder / "graph.onnxdata"
    whole = sidecar.read_bytes()
    told = set()
    for position in range(0, len(whole), 37):
        sidecar.write_bytes(whole[:position] + bytes([whole[position] ^ 1 << position % 8]) + whole[position + 1 :])
        before = contents(folder)
        ran = in_process(folder, *DECODE.split())
        assert (ran.code, ran.out) == (65, "")
        assert re.fullmatch(rf"g2o: graph\.onnxdata: byte \d+: .*(?:{CHANGED}).* \(.*\)\n", ran.err)
        assert contents(folder) == before
        told |= set(re.findall(BOTH_DIGESTS, ran.err))
    assert told, "both digests are shown where a payload is changed"


@tells_memory
@pytest.mark.parametrize(
    ("size", "length", "told"),
    [
        pytest.param(2**33 - 1, 2**33, "goes beyond its store", id="31: beyond the store"),
        pytest.param(2**28, 2**28, BOTH_DIGESTS, id="31: in the store, all of which is read"),
    ],
)
def test_31_no_payload_is_allocated(folder: Path, size: int, length: int, told: str) -> None:
    """In a store that is as large as it says, a sparse file: one payload of all of it, in little memory."""
    with (folder / "graph.onnxdata").open("wb") as file:
        file.truncate(size)
    whole = graph_text.payload(0, length)
    store = {"parameter_file": "graph.onnxdata", "parameter_strategy": "reference"}
    graph(graph_text.graph(**store, parameter_size=size, initializers=graph_text.initializers([whole])))(folder)
    ran = as_process(folder, *DECODE.split(), prologue=LITTLE_MEMORY)
    assert (ran.code, ran.out) == (65, "")
    assert re.search(told, ran.err)


def test_32_external_and_raw_data_at_once_touch_no_other_file(folder: Path) -> None:
    (folder / "other.bin").write_bytes(b"mine")
    tensor = (
        '[{"name":"w","dims":[1],"data_type":"FLOAT","raw_data":[1.5],'
        '"external_data":[{"key":"location","value":"other.bin"}],"data_location":"EXTERNAL"}]'
    )
    graph(graph_text.graph(initializers=tensor))(folder)
    before = contents(folder)
    ran = as_process(folder, "decode", "graph.graphml", "-o", "again.onnx")

    assert ran.code == 0
    decoded = onnx.load(folder / "again.onnx", load_external_data=False).graph.initializer[0]
    assert (decoded.raw_data, decoded.external_data[0].value) == (b"\0\0\xc0\x3f", "other.bin")
    assert {name: data for name, data in contents(folder).items() if name != "again.onnx"} == before


def test_33_metadata_of_another_model_are_reported_and_nothing_is_lost(folder: Path) -> None:
    encoded = comes_back(folder, seeds.fixtures()["modelexport-bert-mini"], "--meta", "m.json")
    assert "warning: good.onnx: " in encoded.err

    decode = ("decode", "good.graphml", "-o", "again.onnx", "--force", "--meta-out", "again.json")
    assert in_process(folder, *decode).code == 0
    assert (folder / "again.json").read_bytes() == (folder / "m.json").read_bytes()


def test_33_lone_surrogates_in_metadata_come_back(folder: Path) -> None:
    put("m.json", METADATA % '"\\ud800": "/\\udfff"')(folder)
    comes_back(folder, seeds.small_models()["typed"], "--meta", "m.json")
    decode = ("decode", "good.graphml", "-o", "again.onnx", "--force", "--meta-out", "again.json")
    assert in_process(folder, *decode).code == 0
    assert (folder / "again.json").read_bytes() == (folder / "m.json").read_bytes()
