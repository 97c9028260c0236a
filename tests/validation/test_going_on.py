"""One fault does not hide the others: validation goes on wherever that makes sense."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from graphml_onnx import GraphMLError, decode, validate
from graphml_onnx.validation.findings import MAX_LISTED
from tests.validation.broken_graphs import Broken, codes, of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.editing.edits import Text


def test_faults_of_all_layers_are_found_at_once(broken: Broken) -> None:
    text = broken.text.add("/first/relu", "colour", "red")  # keys
    text = text.within("/second/softmax", '"i":1', '"i":"1"')  # nodes
    text = text.set("/second/matmul", "outputs", '["p"]')  # graph
    text = text.every('("traced_tag">)/first<', r"\1/other<")  # hierarchy
    text = text.once("</graph>\n</graphml>", '<edge source="model"/>\n</graph>\n</graphml>')  # document
    broken.sidecar.unlink()  # store
    found = codes(broken.found_in(text))

    assert found == {
        "missing-attribute", "key-undeclared", "bad-value", "edge-mismatch", "dangling-input", "stale-scope",
        "store-missing", "not-decodable",
    }  # fmt: skip


def test_an_element_that_is_passed_over_changes_no_line(broken: Broken) -> None:
    """Its bytes are left out for the reader; what comes after it keeps its place."""
    many = "<data key='gone'>\r\n é <!-- ü -->\n</data><data key='gone'/>\n"
    text = broken.text.once('<data key="name">x</data>', f'<data key="name">x</data>{many}')
    text = text.set("/second/softmax", "inputs", "[x]")
    found = broken.found_in(text)

    assert len(of(found, "key-undeclared")) == 2
    assert [finding.line for finding in of(found, "bad-value")] == [text.line_of(text.block("/second/softmax"))]


def test_faults_of_a_node_are_found_one_by_one(broken: Broken) -> None:
    text = (
        broken.text.set("/first/add", "inputs", "[x]").add("/first/add", "index", "0").add("/first/add", "type", "{}")
    )
    line = text.line_of(text.block("/first/add"))
    found = [finding for finding in broken.found_in(text) if finding.line == line]
    assert {finding.message.split(":")[0] for finding in found} >= {
        "inputs",
        "the key 'index' has no meaning on a node of kind 'op'",
        "the key 'type' has no meaning on a node of kind 'op'",
    }


def test_findings_stand_in_the_order_of_layers_and_lines(broken: Broken) -> None:
    text = broken.text.every(r'"outputs">\["\w+"\]<', '"outputs">["t"]<')
    found = broken.found_in(text)
    lines = [finding.line for finding in of(found, "tensor-twice")]
    assert lines == sorted(line for line in lines if line is not None)
    assert len(lines) > 2
    assert found[-1].code in {"edited", "onnx-checker", "not-decodable"}


def test_a_file_full_of_faults_gives_a_list_that_can_be_read(broken: Broken) -> None:
    nodes = "".join(f'<node id="z{number}"/>\n' for number in range(5000))
    found = broken.found_in(broken.text.insert(nodes))
    assert len(of(found, "passed-over")) == MAX_LISTED
    (rest,) = of(found, "not-listed")
    assert f"{5000 - MAX_LISTED:,} more" in rest.message


def test_nothing_is_written_and_nothing_stays_open(broken: Broken) -> None:
    before = {path: path.read_bytes() for path in broken.path.parent.iterdir()}
    validate(broken.path)
    assert {path: path.read_bytes() for path in broken.path.parent.iterdir()} == before


# --- validate and decode agree ----------------------------------------------------------------------------------------


def damaged(text: Text) -> dict[str, str]:
    """The text with each of its values, attributes and elements changed in turn, a sample of them."""
    made = {}
    values = [match.span(1) for match in re.finditer(r'<data key="(?!graphics)\w+">([^<]+)<', text.text)]
    ids = [match.span(1) for match in re.finditer(r' (?:id|source|target|key)="([^"]+)"', text.text)]
    tags = [match.span() for match in re.finditer(r"<[^>]+>", text.text)]
    for name, spans, new in (("value", values, "7"), ("id", ids, "q"), ("tag", tags, ""), ("value", values, "")):
        for start, end in spans[:: max(1, len(spans) // 40)]:
            made[f"{name} at {start}: {new!r}"] = text.text[:start] + new + text.text[end:]
    return made


def test_what_is_refused_has_an_error_and_what_has_none_decodes(broken: Broken) -> None:
    """Errors about the graph itself are also found in what decode takes: it goes by bytes, and not by sense."""
    for name, text in damaged(broken.text).items():
        found = broken.found_in(text)
        problem = _refusal(broken.path)
        errors = {finding.code for finding in found if finding.severity == "error"}
        if problem is not None:
            assert errors, (name, problem)
        elif "not-decodable" in errors:
            raise AssertionError((name, found))


def _refusal(graph: Path) -> str | None:
    try:
        decode(graph, graph.with_name("back.onnx"), overwrite=True)
    except GraphMLError as error:
        return str(error)
    return None
