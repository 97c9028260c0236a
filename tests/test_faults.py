"""What goes wrong, and what the command then does: its exit code, one line, and a folder as it was before.

Each fault has the number of its row in the survival table, from which the cases come. Rows that are not here have
tests of their own: files (34, 36 to 41 for the publication), external data (13 to 17), signals (39), and the round
trip property tests (7 to 11).
"""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import graph_text
import networkx
import onnx
import pytest
import seeds
from command import Ran, as_process, contents, in_process
from onnx import TensorProto, helper
from strategies import wire

from graphml_onnx import encode
from graphml_onnx.graphml import reader
from graphml_onnx.onnxfile import skeleton

if TYPE_CHECKING:
    from collections.abc import Callable

DECODE = "decode graph.graphml -o model.onnx --force"
ENCODE = "encode bad.onnx -o graph.graphml --force"
WITH_META = "encode model.onnx -o graph.graphml --force --meta m.json"
FIFO = hasattr(os, "mkfifo")

RELU = helper.make_graph([helper.make_node("Relu", ["x"], ["y"], name="relu")], "g", [], [])


@dataclass(frozen=True)
class Fault:
    """A fault, and how the command ends.

    ``change`` makes it in a folder that holds model.onnx, graph.graphml with its sidecar, and m.json; ``told`` are
    regular expressions for parts of the line; ``file`` is the file that the line names first.
    """

    row: int
    name: str
    command: str
    change: Callable[[Path], object]
    told: tuple[str, ...]
    code: int = 65
    file: str = ""

    @property
    def named(self) -> str:
        return self.file or self.command.split()[1]


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults")
    fixture = seeds.FIXTURES / "modelexport-resnet-mini"
    (folder / "model.onnx").write_bytes(seeds.small_models()["large"])
    shutil.copyfile(fixture / "model_htp_metadata.json", folder / "m.json")
    encode(folder / "model.onnx", folder / "graph.graphml")
    return folder


@pytest.fixture
def folder(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "folder"))


# --- making faults --------------------------------------------------------------------------------------------------


def nothing(_: Path) -> None:
    pass


def put(name: str, content: str | bytes) -> Callable[[Path], object]:
    data = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(data)


def model(content: bytes) -> Callable[[Path], object]:
    return put("bad.onnx", content)


def graph(content: str | bytes) -> Callable[[Path], object]:
    return put("graph.graphml", content)


def replaced(pattern: str, new: str, name: str = "graph.graphml") -> Callable[[Path], object]:
    """Replaces the first match in a file."""

    def change(folder: Path) -> None:
        text, count = re.subn(pattern, lambda _: new, (folder / name).read_text("utf-8"), count=1)
        assert count == 1, f"{pattern} is not in {name}"
        (folder / name).write_text(text, "utf-8")

    return change


def recoded(transform: Callable[[bytes], bytes], name: str = "graph.graphml") -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(transform((folder / name).read_bytes()))


def doubled(pattern: str) -> Callable[[Path], object]:
    """Repeats the first match."""

    def change(folder: Path) -> None:
        file = folder / "graph.graphml"
        text = file.read_text("utf-8")
        found = re.search(pattern, text)
        assert found is not None
        file.write_text(text[: found.end()] + found[0] + text[found.end() :], "utf-8")

    return change


def nested_model(depth: int) -> bytes:
    """Written field by field: protobuf's own classes refuse what is too deep."""
    graph: wire.Fields = (wire.Field(2, wire.BYTES, b"leaf"),)
    for _ in range(depth):
        attribute = (wire.Field(1, wire.BYTES, b"then_branch"), wire.Field(6, wire.BYTES, graph))
        graph = (wire.Field(1, wire.BYTES, (wire.Field(5, wire.BYTES, attribute),)),)
    return wire.serialise((wire.Field(1, wire.VARINT, 10), wire.Field(7, wire.BYTES, graph)))


def nested_graph(depth: int) -> str:
    parts, parent = [], "m"
    for level in range(depth):
        attributes = '[{"name":"then_branch","g":{"$graph":0},"type":"GRAPH"}]'
        parts += [graph_text.operator(f"o{level}", parent=parent, op_type="If", attributes=attributes)]
        parts += [graph_text.body(f"b{level}", f"o{level}")]
        parent = f"b{level}"
    return graph_text.graph(*parts)


def networkx_graph() -> str:
    return "\n".join(networkx.generate_graphml(networkx.path_graph(3, networkx.DiGraph)))


def archive(folder: Path) -> None:
    with zipfile.ZipFile(folder / "bad.onnx", "w") as file:
        file.writestr("data.pkl", "weights")


def fifo(name: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return change


def linked_sidecar(folder: Path) -> None:
    (folder / "graph.onnxdata").rename(folder / "elsewhere")
    (folder / "graph.onnxdata").symlink_to("elsewhere")


def linked_output(folder: Path) -> None:
    (folder / "link.graphml").symlink_to("graph.graphml")


def folder_as_output(folder: Path) -> None:
    (folder / "taken").mkdir()


def with_doctype(subset: str, use: str = "&a;") -> str:
    """A graph whose name comes from an entity."""
    whole = graph_text.graph(name="NAME").replace("NAME", use)
    return f'<?xml version="1.0"?>\n<!DOCTYPE graphml {subset}>\n{whole}'


LAUGHS = "".join(f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 12))
ENTITIES = {
    "a billion laughs": with_doctype(f'[<!ENTITY a0 "ha">{LAUGHS}]', "&a11;"),
    "one long entity used often": with_doctype(f'[<!ENTITY a "{"x" * 100_000}">]', "&a;" * 30_000),
    "an entity that contains itself": with_doctype('[<!ENTITY a "&b;"><!ENTITY b "&a;">]'),
    "a parameter entity bomb": with_doctype('[<!ENTITY % p "x"><!ENTITY % q "%p;%p;%p;"> %q;]', "x"),
    "an entity in a default attribute": with_doctype('[<!ENTITY a "x"><!ATTLIST node extra CDATA "&a;">]', "x"),
}
DOCTYPES = {
    "an empty DOCTYPE": with_doctype("", "x"),
    "a DTD elsewhere": with_doctype('SYSTEM "other.dtd"', "x"),
    "a public DTD": with_doctype('PUBLIC "-//x" "http://localhost/other.dtd"', "x"),
    "an external entity": with_doctype('[<!ENTITY a SYSTEM "secret.txt">]'),
    "an external entity by URL": with_doctype('[<!ENTITY a SYSTEM "file:///etc/passwd">]'),
    "an external parameter entity": with_doctype('[<!ENTITY % p SYSTEM "secret.txt"> %p;]', "x"),
}

ELSEWHERE = r"not a plain file name"
SHA = "[0-9a-f]{64}"
BOTH_DIGESTS = rf"SHA-256 {SHA}, but the GraphML says {SHA}"
CHANGED = rf"{BOTH_DIGESTS}|between payloads are not zero"

PAYLOAD = r'\{"offset":(\d+),"length":(\d+)'
METADATA = '{"modules": {}, "nodes": {%s}}'

FAULTS = (
    Fault(1, "no model", "encode none.onnx", nothing, ("no such file",), code=66),
    Fault(1, "no graph", "decode none.graphml", nothing, ("no such file",), code=66),
    Fault(1, "no metadata", "encode model.onnx --meta none.json", nothing, ("no such",), code=66, file="none.json"),
    Fault(1, "a folder as a model", "encode taken", folder_as_output, ("is a directory",), code=66),
    Fault(1, "a folder as a graph", "decode taken", folder_as_output, ("is a directory",), code=66),
    Fault(2, "an empty model", ENCODE, model(b""), ("empty",)),
    Fault(2, "an empty graph", DECODE, graph(b""), ("empty",)),
    Fault(2, "the null device as a model", f"encode {os.devnull} -o graph.graphml --force", nothing, ("not a reg",)),
    Fault(2, "the null device as a graph", f"decode {os.devnull} -o model.onnx --force", nothing, ("not a reg",)),
    Fault(3, "a PNG image", ENCODE, model(b"\x89PNG\r\n\x1a\n" + bytes(100)), ("not an ONNX model", "a PNG image")),
    Fault(3, "a ZIP archive", ENCODE, archive, ("not an ONNX model", "a ZIP archive")),
    Fault(3, "gzip data", ENCODE, model(gzip.compress(b"x" * 999)), ("not an ONNX model", "gzip", "unpack")),
    Fault(3, "text", ENCODE, model(b"Dear reader,\nthis is text.\n"), ("not an ONNX model", "looks like text")),
    Fault(3, "JSON", ENCODE, model(b'{"graph": {}}'), ("not an ONNX model", "JSON")),
    Fault(3, "an LFS pointer", ENCODE, model(b"version https://git-lfs.github.com/spec/v1\n"), ("git lfs pull",)),
    Fault(3, "a graph as a model", "encode graph.graphml -o bad.graphml", nothing, ("not an ONNX model", "XML")),
    Fault(3, "a model as a graph", "decode model.onnx -o bad.onnx", nothing, ("line 1", "not well-formed")),
    Fault(5, "a length of 2 GiB", ENCODE, model(b"\x08\x0a\x3a\x80\x80\x80\x80\x08x"), ("byte 3", "runs past the end")),
    Fault(5, "groups 101 deep", ENCODE, model(b"\x3a\x00" + b"\xbb\x3e" * 101), ("byte 202", "more than 100 deep")),
    Fault(6, "34 subgraphs in a model", ENCODE, model(nested_model(34)), ("100 deep", "33 subgraphs")),
    Fault(6, "90 subgraphs in a model", ENCODE, model(nested_model(90)), ("100 deep", "protobuf")),
    Fault(6, "34 bodies in a graph", DECODE, graph(nested_graph(34)), (r"line \d+", "33 bodies")),
    Fault(6, "300 bodies in a graph", DECODE, graph(nested_graph(300)), (r"line \d+", "100 deep")),
    *(Fault(19, name, DECODE, graph(text), ("line 2", "DOCTYPE", "remove")) for name, text in ENTITIES.items()),
    *(Fault(20, name, DECODE, graph(text), ("line 2", "DOCTYPE", "remove")) for name, text in DOCTYPES.items()),
    Fault(22, "XML 100,000 deep", DECODE, graph("<graphml>" + "<a>" * 100_000), ("line 1", "2,000 deep")),
    Fault(22, "the same, closed", DECODE, graph(f"<graphml>{'<a>' * 10**5}{'</a>' * 10**5}</graphml>"), ("2,000",)),
    Fault(24, "UTF-16", DECODE, recoded(lambda b: b.decode().encode("utf-16")), ("UTF-8", "UTF-16")),
    Fault(24, "UTF-16 without a mark", DECODE, recoded(lambda b: b.decode().encode("utf-16-be")), ("UTF-8",)),
    Fault(24, "UTF-16 in its declaration", DECODE, replaced("UTF-8", "UTF-16"), ("line 1", "UTF-16", "convert")),
    Fault(24, "UTF-7", DECODE, replaced("UTF-8", "UTF-7"), ("line 1", "UTF-7", "convert")),
    Fault(24, "Latin-1", DECODE, replaced("UTF-8", "ISO-8859-1"), ("line 1", "ISO-8859-1", "convert")),
    Fault(24, "invalid UTF-8", DECODE, recoded(lambda b: b.replace(b">large<", b">larg\xe9<")), (r"line \d+",)),
    Fault(24, "gzip", DECODE, recoded(gzip.compress), ("gzip", "unpack")),
    Fault(25, "half a graph", DECODE, recoded(lambda b: b[: len(b) // 2]), (r"line \d+", "cut off")),
    Fault(25, "a graph without its last byte", DECODE, recoded(lambda b: b.rstrip()[:-1]), (r"line \d+", "cut off")),
    Fault(25, "text after the end", DECODE, recoded(lambda b: b + b"more"), (r"line \d+", "well-formed")),
    Fault(25, "two documents", DECODE, recoded(lambda b: b + b), (r"line \d+", "well-formed")),
    Fault(26, "GraphML of another tool", DECODE, graph(networkx_graph()), (r"line \d+", "no kind", "encode")),
    Fault(26, "an older format", DECODE, graph(graph_text.graph(format_version="1.3")), ("format 1.3", "again")),
    Fault(26, "a newer format", DECODE, graph(graph_text.graph(format_version="3.0")), ("format 3.0", "install")),
    Fault(26, "a format without end", DECODE, graph(graph_text.graph(format_version="9" * 5000)), ("999", "install")),
    Fault(26, "no format", DECODE, graph(graph_text.graph(format_version=None)), ("line", "no format_version")),
    Fault(26, "no model", DECODE, graph(graph_text.document()), ("no node has the kind 'model'",)),
    Fault(26, "SVG", DECODE, graph("<svg/>"), ("line 1", "<svg>")),
    Fault(27, "a missing key", DECODE, replaced(r'<key id="op_type".*\n', ""), (r"line \d+", "'op_type'", "declared")),
    Fault(27, "a key twice", DECODE, doubled(r'<key id="op_type".*\n'), (r"line \d+", "'op_type'", "twice")),
    Fault(27, "a value twice", DECODE, doubled(r'<data key="op_type">.*\n'), (r"line \d+", "second", "'op_type'")),
    Fault(27, "a node twice", DECODE, doubled(r'<node id="n2">[^$]*?</node>\n'), (r"line \d+", "'n2'", "second")),
    Fault(27, "an identity twice", DECODE, replaced(">n2<", ">n0<"), (r"line \d+.*line \d+", "'n0'", "identity")),
    Fault(27, "a node without an id", DECODE, replaced('<node id="n2"', "<node"), (r"line \d+", "<node>", "no id")),
    Fault(27, "an index twice", DECODE, graph(graph_text.graph(graph_text.operator("a"), graph_text.operator("b"))),
          (r"line \d+", "index 0", r"the first is in line \d+")),
    Fault(27, "no edge end", DECODE, replaced(' target="[^"]*"', ""), (r"line \d+", "<edge>", "no target")),
    Fault(27, "an edge to nowhere", DECODE, replaced(' target="[^"]*"', ' target="n99"'), (r"line \d+", "'n99'")),
    Fault(27, "no parent", DECODE, replaced(r'  <data key="parent">.*\n', ""), (r"line \d+", "no parent")),
    Fault(27, "a missing parent", DECODE, replaced(r'"parent">n\d+<', '"parent">n9<'), (r"line \d+", "'n9'", "parent")),
    Fault(27, "an operator as parent", DECODE, replaced(r'"parent">n\d+<', '"parent">n1<'), (r"line \d+", "compound")),
    Fault(27, "its own parent", DECODE, graph(graph_text.graph(graph_text.module("a", "a"))), ("line", "cycle")),
    Fault(27, "a cycle of parents", DECODE,
          graph(graph_text.graph(graph_text.module("a", "b"), graph_text.module("b", "a"))), ("line", "cycle")),
    Fault(27, "no index", DECODE, replaced(r'  <data key="index">.*\n', ""), (r"line \d+", "no index")),
    *(
        Fault(29, f"the sidecar {name!r}", DECODE, replaced(r">graph\.onnxdata<", f">{name}<"), (ELSEWHERE,))
        for name in ("../graph.onnxdata", "/etc/passwd", "a/b", "..", "C:x", r"a\b", '"\\ud800"', '"\\u0000"')
    ),
    Fault(29, "a link as the sidecar", DECODE, linked_sidecar, ("symbolic link",), file="graph.onnxdata"),
    Fault(30, "no sidecar", DECODE, lambda f: (f / "graph.onnxdata").unlink(), ("missing",), file="graph.onnxdata"),
    Fault(30, "a sidecar too short", DECODE, recoded(lambda b: b[:-1], "graph.onnxdata"), ("bytes",),
          file="graph.onnxdata"),
    Fault(30, "a sidecar too long", DECODE, recoded(lambda b: b + b"x", "graph.onnxdata"), ("bytes",),
          file="graph.onnxdata"),
    Fault(30, "a sidecar of another model", DECODE, recoded(lambda b: b[::-1], "graph.onnxdata"), (CHANGED,),
          file="graph.onnxdata"),
    Fault(31, "a payload before the start", DECODE, replaced(PAYLOAD, '{"offset":-1,"length":4'), ("line", "-1")),
    Fault(31, "a negative length", DECODE, replaced(PAYLOAD, '{"offset":0,"length":-4'), ("line", "-4")),
    Fault(31, "an offset of 2**63", DECODE, replaced(PAYLOAD, f'{{"offset":{2**63},"length":4'), ("line", "outside")),
    Fault(31, "a payload beyond the store", DECODE, replaced(PAYLOAD, f'{{"offset":{2**61},"length":{2**61}'),
          ("payload of", "beyond")),
    Fault(31, "a store of 100 PB", DECODE, graph(graph_text.graph(
        parameter_file="graph.onnxdata", parameter_size=10**17, parameter_checksum=graph_text.ZERO_DIGEST,
        initializers=graph_text.initializers([graph_text.payload(0, 10**17)]))), ("bytes",), file="graph.onnxdata"),
    Fault(31, "payloads that overlap", DECODE, graph(graph_text.graph(
        parameter_file="graph.onnxdata", parameter_size=9, parameter_checksum=graph_text.ZERO_DIGEST,
        initializers=graph_text.initializers([graph_text.payload(0, 4), graph_text.payload(3, 4)]))), ("overlaps",)),
    Fault(31, "a payload that is half one", DECODE, replaced(PAYLOAD, '{"length":4'), ("line", "needs offset")),
    Fault(33, "a key twice", WITH_META, put("m.json", METADATA % '"a": "/x", "a": "/y"'), ("'a'",), file="m.json"),
    Fault(33, "a key twice deep down", WITH_META, put("m.json", '{"modules": {"b": 1, "b": 2}, "nodes": {}}'),
          ("'b'",), file="m.json"),
    Fault(33, "NaN", WITH_META, put("m.json", METADATA % '"a": NaN'), ("NaN",), file="m.json"),
    Fault(33, "20,000 deep", WITH_META, put("m.json", METADATA % f'"a": {"[" * 20_000}{"]" * 20_000}'), ("deep",),
          file="m.json"),
    Fault(33, "a huge number", WITH_META, put("m.json", METADATA % f'"a": {"9" * 5000}'), ("number",), file="m.json"),
    Fault(33, "not UTF-8", WITH_META, put("m.json", b'{"nodes": "\xff"}'), ("byte 11", "UTF-8"), file="m.json"),
    Fault(33, "not an object", WITH_META, put("m.json", "[1]"), ("object",), file="m.json"),
    Fault(33, "not JSON", WITH_META, put("m.json", '{"modules":\n {},}'), ("line 2",), file="m.json"),
    Fault(33, "no modules", WITH_META, put("m.json", '{"nodes": {}}'), ("'modules'",), file="m.json"),
    Fault(33, "a number as a tag", WITH_META, put("m.json", METADATA % '"a": 1'), ("nodes", "a"), file="m.json"),
    Fault(33, "an empty file", WITH_META, put("m.json", ""), ("line 1",), file="m.json"),
    Fault(36, "a folder as the output of encode", "encode model.onnx -o taken --force", folder_as_output,
          ("directory",), code=73, file="taken"),
    Fault(36, "a folder as the output of decode", "decode graph.graphml -o taken --force", folder_as_output,
          ("directory",), code=73, file="taken"),
    Fault(36, "no folder for encode", "encode model.onnx -o none/a.graphml", nothing, ("folder",), code=73,
          file="none/a.graphml"),
    Fault(36, "no folder for decode", "decode graph.graphml -o none/a.onnx", nothing, ("folder",), code=73,
          file="none/a.onnx"),
    Fault(37, "the graph exists", "encode model.onnx -o graph.graphml", nothing, ("--force",), code=73,
          file="graph.graphml"),
    Fault(37, "the sidecar exists", "encode model.onnx -o other.graphml", put("other.onnxdata", "mine"),
          ("exists", "--force"), code=73, file="other.onnxdata"),
    Fault(37, "the model exists", "decode graph.graphml -o model.onnx", nothing, ("--force",), code=73,
          file="model.onnx"),
    Fault(38, "the model as output", "encode model.onnx -o model.onnx --force", nothing, ("input",), code=2),
    Fault(38, "the graph as output", "decode graph.graphml -o graph.graphml --force", nothing, ("input",), code=2),
    Fault(38, "the metadata as output", WITH_META.replace("-o graph.graphml", "-o m.json"), nothing, ("input",),
          code=2, file="m.json"),
    Fault(38, "the sidecar as output", "decode graph.graphml -o graph.onnxdata --force", nothing, ("payloads|input",),
          code=2, file="graph.onnxdata"),
    Fault(38, "a link as output", "encode model.onnx -o link.graphml --force", linked_output, ("symbolic link",),
          code=73, file="link.graphml"),
)  # fmt: skip

ONE_OF_EACH_ROW = {fault.row: fault for fault in reversed(FAULTS)}


def ends_well(fault: Fault, folder: Path, run: Callable[..., Ran]) -> None:
    """Runs the command with the fault: exit code, one line with file, place and remedy, and the folder as before."""
    fault.change(folder)
    before = contents(folder)
    ran = run(folder, *fault.command.split())

    assert (ran.code, ran.out) == (fault.code, "")
    assert ran.err.startswith(f"g2o: {fault.named}: ")
    assert ran.err.count("\n") == 1
    assert ran.err.endswith(")\n"), "what to do stands in brackets at the end"
    for part in fault.told:
        assert re.search(part, ran.err), ran.err
    assert contents(folder) == before


@pytest.mark.parametrize("fault", [pytest.param(fault, id=f"{fault.row}: {fault.name}") for fault in FAULTS])
def test_fault(fault: Fault, folder: Path) -> None:
    ends_well(fault, folder, in_process)


@pytest.mark.parametrize("fault", [pytest.param(fault, id=f"{row}") for row, fault in sorted(ONE_OF_EACH_ROW.items())])
def test_one_fault_of_each_row_as_a_process(fault: Fault, folder: Path) -> None:
    ends_well(fault, folder, as_process)


@pytest.mark.skipif(not FIFO, reason="the system has no FIFOs")
@pytest.mark.parametrize(
    "fault",
    [
        pytest.param(Fault(2, "a FIFO", ENCODE, fifo("bad.onnx"), ("not a regular file",)), id="2: as a model"),
        pytest.param(Fault(2, "a FIFO", DECODE, fifo("graph.graphml"), ("not a regular file",)), id="2: as a graph"),
        pytest.param(
            Fault(2, "a FIFO", DECODE, fifo("graph.onnxdata"), ("not a regular file",), file="graph.onnxdata"),
            id="2: as a sidecar",
        ),
        pytest.param(
            Fault(2, "a FIFO", WITH_META, fifo("m.json"), ("not a regular file",), file="m.json"), id="2: as metadata"
        ),
    ],
)
def test_a_fifo_never_hangs(fault: Fault, folder: Path) -> None:
    ends_well(fault, folder, as_process)


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
            assert ran.err.startswith("g2o: bad.onnx: ")
            assert ran.err.count("\n") == 1
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


def comes_back(folder: Path, data: bytes, *options: str) -> Ran:
    """Encodes and decodes; the model is byte-identical, and the command knows it."""
    (folder / "good.onnx").write_bytes(data)
    encoded = in_process(folder, "encode", "good.onnx", "-o", "good.graphml", "--force", *options)
    assert encoded.code == 0, encoded.err
    decoded = in_process(folder, "decode", "good.graphml", "-o", "again.onnx", "--json", "--force")
    assert (decoded.code, json.loads(decoded.out)["exact"]) == (0, True)
    assert (folder / "again.onnx").read_bytes() == data
    return encoded


def test_6_thirty_three_subgraphs(folder: Path) -> None:
    comes_back(folder, nested_model(33))


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


@pytest.mark.parametrize("name", awkward_graphs())
def test_12_awkward_graphs_come_back(folder: Path, name: str) -> None:
    comes_back(folder, helper.make_model(awkward_graphs()[name]).SerializeToString())


def test_18_a_bare_relative_model_path(folder: Path) -> None:
    tensor = TensorProto(name="w", data_type=TensorProto.UINT8, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="w.bin")
    (folder / "w.bin").write_bytes(b"abcd")
    comes_back(folder, helper.make_model(helper.make_graph([], "g", [], [], [tensor])).SerializeToString())


def test_19_a_bomb_takes_no_memory(folder: Path) -> None:
    resource = pytest.importorskip("resource")
    limit = f"""
import resource, graphml_onnx.decoding
virtual = int(open("/proc/self/statm").read().split()[0]) * {resource.getpagesize()}
resource.setrlimit(resource.RLIMIT_AS, (virtual + 100_000_000,) * 2)
"""
    if not Path("/proc/self/statm").exists():
        pytest.skip("the system does not tell the memory in use")
    graph(ENTITIES["a billion laughs"])(folder)
    assert as_process(folder, *DECODE.split(), prologue=limit).code == 65


@pytest.mark.parametrize("name", ["an external entity", "an external parameter entity", "a DTD elsewhere"])
def test_20_no_other_file_is_opened(folder: Path, name: str) -> None:
    (folder / "secret.txt").write_text("secret")
    (folder / "other.dtd").write_text("<!ELEMENT graphml ANY>")
    graph(DOCTYPES[name])(folder)
    watch = """
def watch(event, arguments):
    if event == "open" and str(arguments[0]).endswith((".txt", ".dtd")):
        print("opened", arguments[0])
sys.addaudithook(watch)
"""
    ran = as_process(folder, *DECODE.split(), prologue=watch)
    assert (ran.code, ran.out) == (65, "")


def test_21_eleven_megabytes_of_text_in_one_element(folder: Path) -> None:
    text = "a line of text & <markup>\n" * 440_000
    comes_back(folder, helper.make_model(RELU, doc_string=text).SerializeToString())


@pytest.mark.slow
def test_21_a_gigabyte_of_text_in_one_element(folder: Path) -> None:
    raw = bytes(range(256)) * 3 * 2**20  # 768 MiB, which are 1 GiB of base64
    tensor = TensorProto(name="w", data_type=TensorProto.UINT8, dims=[len(raw)], raw_data=raw)
    data = helper.make_model(helper.make_graph([], "g", [], [], [tensor])).SerializeToString()
    comes_back(folder, data, "--params", "embedded")


def test_21_text_beyond_the_limit(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "MAX_TEXT", 1000)
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
    assert in_process(folder, *DECODE.split(), "--require-exact").code == 0


def test_24_a_byte_order_mark(folder: Path) -> None:
    recoded(lambda data: b"\xef\xbb\xbf" + data)(folder)
    assert in_process(folder, *DECODE.split(), "--require-exact").code == 0


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


def test_30_any_byte_changed_in_the_sidecar(folder: Path) -> None:
    sidecar = folder / "graph.onnxdata"
    whole = sidecar.read_bytes()
    told = set()
    for position in range(0, len(whole), 37):
        sidecar.write_bytes(whole[:position] + bytes([whole[position] ^ 1 << position % 8]) + whole[position + 1 :])
        before = contents(folder)
        ran = in_process(folder, *DECODE.split())
        assert (ran.code, ran.out) == (65, "")
        assert re.search(CHANGED, ran.err)
        assert contents(folder) == before
        told |= set(re.findall(BOTH_DIGESTS, ran.err))
    assert told, "both digests are shown where a payload is changed"


def test_31_no_payload_is_allocated_before_it_is_checked(folder: Path) -> None:
    """A store that is as large as it says, in a sparse file: the digest fails, in little memory."""
    pytest.importorskip("resource")
    with (folder / "graph.onnxdata").open("wb") as file:
        file.truncate(2**33)
    whole = graph_text.payload(0, 2**33)
    store = {"parameter_file": "graph.onnxdata", "parameter_checksum": graph_text.ZERO_DIGEST}
    graph(graph_text.graph(**store, parameter_size=2**33 - 1, initializers=graph_text.initializers([whole])))(folder)
    ran = as_process(folder, *DECODE.split())
    assert (ran.code, ran.out) == (65, "")
    assert "goes beyond its store" in ran.err


def test_32_external_and_raw_data_at_once_touch_no_other_file(folder: Path) -> None:
    (folder / "other.bin").write_bytes(b"mine")
    tensor = (
        '[{"name":"w","dims":[1],"data_type":"FLOAT","raw_data":[1.5],'
        '"external_data":[{"key":"location","value":"other.bin"}],"data_location":"EXTERNAL"}]'
    )
    graph(graph_text.graph(initializers=tensor))(folder)
    before = contents(folder)
    ran = in_process(folder, "decode", "graph.graphml", "-o", "again.onnx")

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


# --- rows 34 to 38 and 42: the system says no -------------------------------------------------------------------------

# The commands that write: a pair, the graph with its payloads in it, a model, a model and its metadata.
WRITERS = (
    "encode model.onnx -o {0}/graph.graphml --force",
    "encode model.onnx -o {0}/graph.graphml --force --params embedded",
    "decode graph.graphml -o {0}/model.onnx --force",
    "decode with.graphml -o {0}/model.onnx --force --meta-out {0}/m.json",
    "decode inside.graphml -o {0}/model.onnx --force",
)
# Runs each writer with less and less room, and tells for which codes, and which traces.
_LESS_AND_LESS = """
import contextlib, io, json, os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from command import contents, in_process
results = {{}}
for line in {writers!r}:
    outcomes = results[line] = []
    for room in {rooms}:
        target = Path("small")
        with limited(target, room):
            for name in ("graph.graphml", "graph.onnxdata", "model.onnx", "m.json"):
                (target / name).write_bytes(b"before")
            before = contents(target)
            with limit(room):
                ran = in_process(Path(), *line.format(target).split())
            same = contents(target) == before
        outcomes.append([ran.code, ran.err.count(chr(10)), same, ran.err])
print(json.dumps(results))
"""
_FILE_SIZE = """
import resource, contextlib, shutil
from pathlib import Path
@contextlib.contextmanager
def limited(target, room):
    target.mkdir()
    yield
    shutil.rmtree(target)
@contextlib.contextmanager
def limit(room):
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
"""
_FULL_DISK = """
import contextlib, ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
os.mkdir("small")
if libc.unshare(0x20000) or libc.mount(b"none", b"/", None, 0x44000, None):
    sys.exit(77)
@contextlib.contextmanager
def limited(target, room):
    if libc.mount(b"tmpfs", b"small", b"tmpfs", 0, b"size=4m"):
        sys.exit(77)
    yield
    libc.umount2(b"small", 2)
@contextlib.contextmanager
def limit(room):
    space = os.statvfs("small")
    filler = open("small/filler", "wb")
    filler.write(bytes(max(0, space.f_bavail * space.f_frsize - room)))
    filler.close()
    yield
    os.unlink("small/filler")
"""


def less_and_less(folder: Path, system: str, rooms: range) -> dict[str, list[list[object]]]:
    """Per writer, for each room in bytes: exit code, lines of error, whether the folder is as before, the error."""
    import subprocess

    prepared = (
        in_process(folder, "encode", "model.onnx", "-o", "with.graphml", "--meta", "m.json"),
        in_process(folder, "encode", "model.onnx", "-o", "inside.graphml", "--params", "embedded"),
    )
    assert [ran.code for ran in prepared] == [0, 0]
    script = system + _LESS_AND_LESS.format(writers=WRITERS, rooms=rooms)
    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode == 77:
        pytest.skip("mounting is not allowed")
    assert done.returncode == 0, done.stderr
    results: dict[str, list[list[object]]] = json.loads(done.stdout)
    return results


def check_less_and_less(results: dict[str, list[list[object]]]) -> None:
    """Too little room is 74, one line, and nothing changed; with enough room the same command is done."""
    for line, outcomes in results.items():
        codes = [outcome[0] for outcome in outcomes]
        assert set(codes) == {74, 0}, (line, outcomes)
        assert codes == sorted(codes, reverse=True), line
        for code, lines, same, error in outcomes:
            if code:
                assert (lines, same) == (1, True), (line, error)


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a small file system")
def test_34_no_space_left_at_every_step_of_the_write(folder: Path) -> None:
    check_less_and_less(less_and_less(folder, _FULL_DISK, range(0, 120_000, 4096)))


@pytest.mark.skipif(sys.platform == "win32", reason="limits of POSIX")
def test_35_a_file_size_limit_at_every_step_of_the_write(folder: Path) -> None:
    check_less_and_less(less_and_less(folder, _FILE_SIZE, range(16, 40_000, 1500)))


@pytest.mark.skipif(sys.platform == "win32", reason="permissions of POSIX")
@pytest.mark.parametrize("line", ["encode model.onnx -o shut/a.graphml", "decode graph.graphml -o shut/a.onnx"])
def test_36_a_folder_that_is_read_only(folder: Path, line: str) -> None:
    (folder / "shut").mkdir(mode=0o555)
    for file in (folder, *folder.iterdir()):
        file.chmod(0o555)
    for parent in folder.parents:
        if os.geteuid() == 0 and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o001)  # pytest's folders are root's own
    # The first run imports what an ordinary user may have no access to in root's own installation.
    ordinary = f"""
import os, pathlib
sys.path.insert(0, {str(Path(__file__).parent)!r})
from command import in_process
in_process(pathlib.Path(), "encode", "model.onnx", "-o", "none/a.graphml")
in_process(pathlib.Path(), "decode", "graph.graphml", "-o", "none/a.onnx")
if os.geteuid() == 0:
    os.setuid(65534)
"""
    before = contents(folder)
    ran = as_process(folder, *line.split(), prologue=ordinary)

    assert (ran.code, ran.out) == (73, "")
    assert re.fullmatch(r"g2o: shut/a\.\w+: may not be written \(.*\)\n", ran.err)
    assert contents(folder) == before


def test_37_with_force_outputs_are_replaced(folder: Path) -> None:
    assert in_process(folder, "encode", "model.onnx", "-o", "graph.graphml", "--force").code == 0
    assert in_process(folder, "decode", "graph.graphml", "-o", "model.onnx", "--force", "--require-exact").code == 0


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the system does not tell the memory in use")
@pytest.mark.parametrize("verb", ["encode", "decode"])
def test_42_a_memory_limit(folder: Path, verb: str) -> None:
    """Half a gigabyte of text, and 200 MB of memory."""
    pytest.importorskip("resource")
    limit = """
import resource, graphml_onnx.encoding, graphml_onnx.decoding
virtual = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (virtual + 200_000_000,) * 2)
"""
    if verb == "encode":
        model(onnx.ModelProto(doc_string="x" * 2**28, graph=RELU).SerializeToString())(folder)
    else:
        graph(graph_text.graph(doc_string="x" * 2**28))(folder)
    before = contents(folder)
    ran = as_process(folder, *(ENCODE if verb == "encode" else DECODE).split(), prologue=limit)

    assert (ran.code, ran.out) == (74, "")
    assert re.fullmatch(r"g2o: not enough memory \(.*\)\n", ran.err)
    assert contents(folder) == before
