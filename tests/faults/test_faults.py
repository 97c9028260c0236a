"""What goes wrong, and what the command then does: its exit code, one line, and a folder as it was before.

Each fault has the number of its row in the survival table, from which the cases come; so has each test here and in
test_survival.py, which holds the rows that end well, and those where the system fails, stops or kills the command.
"""

from __future__ import annotations

import gzip
import os
import re
from typing import TYPE_CHECKING

import pytest

from tests.common import external_models
from tests.common.command import as_process, in_process
from tests.faults import graph_text
from tests.faults.making_faults import (
    CHANGED,
    DECODE,
    DOCTYPES,
    ENCODE,
    ENTITIES,
    FIFO,
    METADATA,
    WITH_META,
    Fault,
    archive,
    behind_link,
    doubled,
    ends_well,
    external,
    fifo,
    folder_as_output,
    graph,
    instead,
    linked_output,
    linked_sidecar,
    model,
    nested_graph,
    nested_model,
    networkx_graph,
    nothing,
    put,
    recoded,
    replaced,
)

if TYPE_CHECKING:
    from pathlib import Path

OUT = ("'wanted'", r"leads out|the location")
LINKED = ("'wanted'", "symbolic link", "cp -rL")

ELSEWHERE = r"not a plain file name"
PAYLOAD = r'\{"name":"[^"]*","length":(\d+)'

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
    Fault(3, "a web page", ENCODE, model(b"\n<!DOCTYPE html>\n<title>404"), ("not an ONNX", "HTML page", "download")),
    Fault(3, "a web page to look at", "inspect bad.onnx", model(b"<html>404"), ("not an ONNX model", "HTML page")),
    Fault(3, "a web page as a graph", DECODE, graph(b"<html>404"), ("not GraphML", "HTML page")),
    Fault(3, "JSON", ENCODE, model(b'{"graph": {}}'), ("not an ONNX model", "JSON")),
    Fault(3, "an LFS pointer", ENCODE, model(b"version https://git-lfs.github.com/spec/v1\n"), ("git lfs pull",)),
    Fault(3, "a graph as a model", "encode graph.graphml -o bad.graphml", nothing, ("not an ONNX model", "XML")),
    Fault(3, "a model as a graph", "decode model.onnx -o bad.onnx", nothing, ("is an ONNX model", "encode it first")),
    Fault(5, "a length of 2 GiB", ENCODE, model(b"\x08\x0a\x3a\x80\x80\x80\x80\x08x"), ("byte 3", "ends too early")),
    Fault(5, "groups 101 deep", ENCODE, model(b"\x3a\x00" + b"\xbb\x3e" * 101), ("byte 202", "more than 100 deep")),
    Fault(6, "34 subgraphs in a model", ENCODE, model(nested_model(34)), ("100 deep", "33 subgraphs")),
    Fault(6, "90 subgraphs in a model", ENCODE, model(nested_model(90)), ("100 deep", "protobuf")),
    Fault(6, "34 bodies in a graph", DECODE, graph(nested_graph(34)), (r"line \d+", "33")),
    Fault(6, "300 bodies in a graph", DECODE, graph(nested_graph(300)), (r"line \d+", "33")),
    *(
        Fault(13, f"external data at {location!r}", ENCODE, external(location), (r"graph\.initializer\[0\]", *OUT))
        for location in ("../w.bin", "w/../../w.bin", "..", "/etc/hostname", "", "a\0b", r"..\w.bin", "C:w.bin")
    ),
    *(
        Fault(13, f"external data at {location!r}", ENCODE, external(location), (r"graph\.initializer\[0\]", told))
        for location, told in {
            ".model.onnx.0123456789abcdef.g2o-tmp": "reserved",
            "a/.x.g2o-tmp/w.bin": "reserved",
            "graph.onnxdata.0123456789ABCDEF": "reserved",
            "x.0123456789abcdef.0123456789abcdef": "reserved",
            ".g2o-lock": "reserved",
            "NUL": "device",
            "a/con/w.bin": "device",
            "com1 ": "device",
        }.items()
    ),
    *(
        Fault(14, name, ENCODE, change, LINKED, file="w.bin")
        for name, change in {
            "a link out of the folder": instead(lambda path: path.symlink_to("/etc/hostname")),
            "a link to nowhere": instead(lambda path: path.symlink_to("nowhere")),
            "a link to a device": instead(lambda path: path.symlink_to("/dev/zero")),
        }.items()
    ),
    Fault(14, "a link to another folder", ENCODE, behind_link, LINKED, file="way/w.bin"),
    Fault(14, "a folder", ENCODE, instead(lambda path: path.mkdir()), ("'wanted'", "directory"), code=66, file="w.bin"),
    *(
        Fault(15, f"{numbers}", ENCODE, external("w.bin", **numbers), (r"graph\.initializer\[0\]", "'wanted'"))
        for numbers in (
            {"offset": -1}, {"length": -1}, {"offset": "1_0"}, {"length": "1_0"}, {"offset": " 1"}, {"offset": "+1"},
            {"offset": 41}, {"length": 41}, {"offset": 1, "length": 40}, {"offset": 2**63 - 1, "length": 2**63 - 1},
            {"offset": "9" * 5000}, {"length": "\u0661"}, {"offset": "0x1"}, {"length": ""},
        )
    ),
    Fault(16, "no data file", ENCODE, external("gone.bin"), (r"graph\.initializer\[0\]", "'wanted'", "no such file"),
          code=66, file="gone.bin"),
    Fault(16, "no folder of data files", ENCODE, external("w/gone.bin"), ("'wanted'", "no such file"), code=66,
          file="w/gone.bin"),
    *(
        Fault(17, f"in {place}", ENCODE, external("../w.bin", place), (re.escape(path), *OUT))
        for place, (_, path) in external_models.PLACES.items()
    ),
    *(Fault(19, name, DECODE, graph(text), ("line 2", "DOCTYPE", "remove")) for name, text in ENTITIES.items()),
    *(Fault(20, name, DECODE, graph(text), ("line 2", "DOCTYPE", "remove")) for name, text in DOCTYPES.items()),
    Fault(22, "XML 100,000 deep", DECODE, graph("<graphml>" + "<a>" * 100_000), ("line 1", "2,000 deep")),
    Fault(22, "the same, closed", DECODE, graph(f"<graphml>{'<a>' * 10**5}{'</a>' * 10**5}</graphml>"), ("2,000",)),
    Fault(24, "UTF-16", DECODE, recoded(lambda b: b.decode().encode("utf-16")), ("UTF-16", "save it as UTF-8")),
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
    Fault(26, "an older format", DECODE, graph(graph_text.graph(format_version="1.3")), (r"format .1\.3.", "again")),
    Fault(26, "a newer format", DECODE, graph(graph_text.graph(format_version="5.0")), (r"format .5\.0.", "install")),
    Fault(26, "a format without end", DECODE, graph(graph_text.graph(format_version="9" * 5000)), ("999", "install")),
    Fault(26, "no format", DECODE, graph(graph_text.graph(format_version=None)), ("line", "no format_version")),
    Fault(26, "no model", DECODE, graph(graph_text.document()), ("no node has the kind 'model'",)),
    Fault(26, "SVG", DECODE, graph("<svg/>"), ("line 1", "<svg>")),
    Fault(27, "a missing key", DECODE, replaced(r'<key id="op_type".*\n', ""), (r"line \d+", "'op_type'", "declared")),
    Fault(27, "a key twice", DECODE, doubled(r'<key id="op_type".*\n'), (r"line \d+", "'op_type'", "twice")),
    Fault(27, "a value twice", DECODE, doubled(r'<data key="op_type">.*\n'), (r"line \d+", "second", "'op_type'")),
    Fault(27, "a node twice", DECODE, doubled(r'<node id="(?!model)[^$]*?</node>\n'), ("second", "of its own")),
    Fault(27, "an identity twice", DECODE, replaced('node_id">(?!model)[^<]+<', 'node_id">model<'),
          (r"line \d+.*line \d+", "'model'", "identity")),
    Fault(27, "a node without an id", DECODE, replaced('<node id="[^"]*"', "<node"), (r"line \d+", "<node>", "no id")),
    Fault(27, "an order in a circle", DECODE,
          graph(graph_text.graph(graph_text.operator("a", "b"), graph_text.operator("b", "a"))),
          (r"line \d+", "operator comes after nodes that come after it")),
    Fault(27, "no edge end", DECODE, replaced(' target="[^"]*"', ""), (r"line \d+", "<edge>", "no target")),
    Fault(27, "an edge to nowhere", DECODE, replaced(' target="[^"]*"', ' target="n99"'), (r"line \d+", "'n99'")),
    Fault(27, "no parent", DECODE, replaced(r'  <data key="parent">.*\n', ""), (r"line \d+", "no parent")),
    Fault(27, "a missing parent", DECODE, replaced('"parent">[^<]+<', '"parent">n9<'), (r"line \d+", "'n9'", "parent")),
    Fault(27, "an operator as parent", DECODE,
          graph(graph_text.graph(graph_text.operator("a"), graph_text.operator("b", "a", "a"))),
          (r"line \d+", "compound")),
    Fault(27, "its own parent", DECODE, graph(graph_text.graph(graph_text.module("a", "a"))), ("line", "cycle")),
    Fault(27, "a cycle of parents", DECODE,
          graph(graph_text.graph(graph_text.module("a", "b"), graph_text.module("b", "a"))), ("line", "cycle")),
    Fault(27, "no index", DECODE,
          graph(graph_text.graph(graph_text.operator("a"), graph_text.node("b", kind="subgraph", parent="a"))),
          (r"line \d+", "no index")),
    *(
        Fault(29, f"the sidecar {name!r}", DECODE, replaced(r">graph\.onnxdata<", f">{name}<"), (ELSEWHERE,))
        for name in ("../graph.onnxdata", "/etc/passwd", "a/b", "..", "C:x", r"a\b", '"\\ud800"', '"\\u0000"')
    ),
    Fault(29, "a link as the sidecar", DECODE, linked_sidecar, ("symbolic link",), file="graph.onnxdata"),
    Fault(30, "no sidecar", DECODE, lambda f: (f / "graph.onnxdata").unlink(), ("missing",), file="graph.onnxdata"),
    Fault(30, "a sidecar too short", DECODE, recoded(lambda b: b[:-1], "graph.onnxdata"), ("but the GraphML says",),
          file="graph.onnxdata"),
    Fault(30, "a sidecar too long", DECODE, recoded(lambda b: b + b"x", "graph.onnxdata"), ("but the GraphML says",),
          file="graph.onnxdata"),
    Fault(30, "a sidecar of another model", DECODE, recoded(lambda b: b[::-1], "graph.onnxdata"), (CHANGED,),
          file="graph.onnxdata"),
    Fault(31, "a payload before the start", DECODE, replaced(PAYLOAD, '{"offset":-1,"length":4'), ("line", "-1")),
    Fault(31, "a negative length", DECODE, replaced(PAYLOAD, '{"offset":0,"length":-4'), ("line", "-4")),
    Fault(31, "an offset of 2**63", DECODE, replaced(PAYLOAD, f'{{"offset":{2**63},"length":4'), ("line", "outside")),
    Fault(31, "a payload beyond the store", DECODE, replaced(PAYLOAD, f'{{"offset":{2**61},"length":{2**61}'),
          ("needs a name",)),
    Fault(31, "a negative length of a tensor", DECODE, replaced(PAYLOAD, '{"name":"w","length":-4'), ("line", "-4")),
    Fault(31, "a tensor that is longer", DECODE, replaced(PAYLOAD, '{"name":"W","length":7'), ("lacks|has",),
          file="graph.onnxdata"),
    Fault(31, "a store of 100 PB", DECODE, graph(graph_text.graph(
        parameter_strategy="reference", parameter_file="graph.onnxdata", parameter_size=10**17,
        initializers=graph_text.initializers([graph_text.payload(0, 10**17)]))), ("bytes",), file="graph.onnxdata"),
    Fault(31, "a payload that goes beyond", DECODE, graph(graph_text.graph(
        parameter_strategy="reference", parameter_file="graph.onnxdata", parameter_size=9,
        initializers=graph_text.initializers([graph_text.payload(6, 4)]))), ("payload of", "beyond")),
    Fault(31, "payloads that overlap", DECODE, graph(graph_text.graph(
        parameter_strategy="reference", parameter_file="graph.onnxdata", parameter_size=9,
        initializers=graph_text.initializers([graph_text.payload(0, 4), graph_text.payload(3, 4)]))), ("overlaps",)),
    Fault(31, "a payload that is half one", DECODE, replaced(PAYLOAD, '{"length":4'), ("line", "or offset, length")),
    Fault(33, "a key twice", WITH_META, put("m.json", METADATA % '"a": "/x", "a": "/y"'),
          ("line 1, column 38", "'a'"), file="m.json"),
    Fault(33, "a key twice deep down", WITH_META, put("m.json", '{"modules": {"b": 1, "b": 2}, "nodes": {}}'),
          ("line 1, column 22", "'b'"), file="m.json"),
    Fault(33, "NaN", WITH_META, put("m.json", METADATA % '"a": NaN'), ("line 1", "NaN"), file="m.json"),
    Fault(33, "20,000 deep", WITH_META, put("m.json", METADATA % f'"a": {"[" * 20_000}{"]" * 20_000}'),
          ("line 1", "deep"), file="m.json"),
    Fault(33, "a huge number", WITH_META, put("m.json", METADATA % f'"a": {"9" * 5000}'), ("line 1", "number"),
          file="m.json"),
    Fault(33, "not UTF-8", WITH_META, put("m.json", b'{"nodes": "\xff"}'), ("byte 11", "UTF-8"), file="m.json"),
    Fault(33, "not an object", WITH_META, put("m.json", "[1]"), ("object",), file="m.json"),
    Fault(33, "not JSON", WITH_META, put("m.json", '{"modules":\n {},}'), ("line 2",), file="m.json"),
    Fault(33, "no nodes", WITH_META, put("m.json", '{"modules": {}}'), ("'nodes'",), file="m.json"),
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
    Fault(37, "the graph exists", "encode model.onnx -o graph.graphml", nothing, ("--overwrite",), code=73,
          file="graph.graphml"),
    Fault(37, "the sidecar exists", "encode model.onnx -o other.graphml", put("other.onnxdata", "mine"),
          ("exists", "--overwrite"), code=73, file="other.onnxdata"),
    Fault(37, "the model exists", "decode graph.graphml -o model.onnx", nothing, ("--overwrite",), code=73,
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
            Fault(14, "a FIFO", ENCODE, instead(os.mkfifo), ("'wanted'", "not a regular file"), file="w.bin")
            if FIFO
            else None,
            id="14: as external data",
        ),
        pytest.param(
            Fault(2, "a FIFO", WITH_META, fifo("m.json"), ("not a regular file",), file="m.json"), id="2: as metadata"
        ),
    ],
)
def test_a_fifo_never_hangs(fault: Fault, folder: Path) -> None:
    ends_well(fault, folder, as_process)
