"""Faults: how one is made in a folder with a model and its graph, and how a command with it has to end."""

from __future__ import annotations

import os
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import networkx
from onnx import helper

from tests.common import external_models
from tests.common.command import Ran, contents
from tests.faults import graph_text
from tests.strategies import wire

if TYPE_CHECKING:
    from collections.abc import Callable

DECODE = "decode graph.graphml -o model.onnx --force"
ENCODE = "encode bad.onnx -o graph.graphml --force"
WITH_META = "encode model.onnx -o graph.graphml --force --meta m.json"
FIFO = hasattr(os, "mkfifo")

SHA = "[0-9a-f]{64}"
BOTH_DIGESTS = rf"SHA-256 {SHA}, but the GraphML says {SHA}"
CHANGED = rf"{BOTH_DIGESTS}|claims a header of [\d,]+ bytes"
METADATA = '{"modules": {}, "nodes": {%s}}'
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


def external(location: str, place: str = "initializer", **numbers: int | str) -> Callable[[Path], object]:
    """A model with one tensor, `wanted`, whose ten numbers are in a file; w.bin holds just so much."""
    make, _ = external_models.PLACES[place]
    tensor = external_models.external("wanted", location, **numbers)

    def change(folder: Path) -> None:
        (folder / "w.bin").write_bytes(bytes(range(40)))
        (folder / "bad.onnx").write_bytes(make(tensor).SerializeToString())

    return change


def instead(make: Callable[[Path], object], name: str = "w.bin") -> Callable[[Path], object]:
    """Puts something else in the place of the data file."""

    def change(folder: Path) -> None:
        external("w.bin")(folder)
        (folder / name).unlink()
        make(folder / name)

    return change


def behind_link(folder: Path) -> None:
    external("way/w.bin")(folder)
    (folder / "way").symlink_to("/etc")


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


def ordinary_user(folder: Path) -> str:
    """What makes `as_process` run the command without the rights of root, who may write everywhere."""
    for parent in folder.parents:
        if os.geteuid() == 0 and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o001)  # pytest's folders are root's own
    # The first run imports what an ordinary user may have no access to in root's own installation.
    return f"""
import os, pathlib
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from tests.common.command import in_process
in_process(pathlib.Path(), "encode", "model.onnx", "-o", "none/a.graphml")
in_process(pathlib.Path(), "decode", "graph.graphml", "-o", "none/a.onnx")
if os.geteuid() == 0:
    os.setuid(65534)
"""
