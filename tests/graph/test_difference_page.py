"""A difference as a page: it says what differs, and nothing of a model can be markup in it."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import TYPE_CHECKING

import onnx
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper

import graphml_onnx
from graphml_onnx.graph.difference import Change, ModelDiff
from tests.common.command import in_process
from tests.graph.test_difference import insert, layers

if TYPE_CHECKING:
    from pathlib import Path

TAGS = {
    "html", "head", "meta", "title", "style", "body", "h1", "p", "code", "details", "summary", "b", "table", "tr", "td",
    "div", "span", "del", "ins",
}  # fmt: skip


class Page(HTMLParser):
    """The tags of a page, its text, and whether each tag is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_of_a_difference(tmp_path: Path) -> None:
    old, new = layers(3), layers(3)
    insert(new, 1)
    for name, model in (("old", old), ("new", new)):
        onnx.save(model, tmp_path / f"{name}.onnx")
    ran = in_process(tmp_path, "diff", "old.onnx", "new.onnx", "--html", "page.html")
    assert ran.code == 1
    page = Page((tmp_path / "page.html").read_text("utf-8"))
    assert page.tags <= TAGS
    assert page.open == []
    for text in ("old.onnx", "new.onnx", "enc.layer.1", "Identity", "/enc/layer.1/sum -> /enc/layer.1/id"):
        assert text in page.text
    again = in_process(tmp_path, "diff", "old.onnx", "old.onnx", "--html", "page.html", "--quiet")
    assert (again.code, again.out) == (0, "")
    assert "The models are the same." in (tmp_path / "page.html").read_text("utf-8")


def test_a_page_never_replaces_a_model(tmp_path: Path) -> None:
    onnx.save(layers(1), tmp_path / "old.onnx")
    content = (tmp_path / "old.onnx").read_bytes()
    ran = in_process(tmp_path, "diff", "old.onnx", "old.onnx", "--html", "old.onnx")
    assert ran.code == 2
    assert (tmp_path / "old.onnx").read_bytes() == content


HOSTILE = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            "</td></table>",
            '"><img src=x onerror=y>',
            "&lt;",
            "\ud800",
            "\0",
            "\u202e",
            "<!--",
        ]
    ),
)


@given(st.lists(st.tuples(HOSTILE, HOSTILE, HOSTILE, st.one_of(st.none(), HOSTILE)), max_size=4), HOSTILE)
def test_nothing_of_a_model_is_markup(parts: list[tuple[str, str, str, str | None]], path: str) -> None:
    changes = tuple(
        Change("changed", "operator", module, name, ((what, what, value),), op_type=name, body=module)
        for module, name, what, value in parts
    )
    text = ModelDiff(changes).to_html(path, path)
    page = Page(text)
    assert page.tags <= TAGS
    assert page.open == []
    assert text.encode("utf-8").isascii() or "\u202e" not in text


def test_a_name_that_is_markup(tmp_path: Path) -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"], name="<b>bold</b>")]
    onnx.save(helper.make_model(helper.make_graph([], "g", [], [])), tmp_path / "old.onnx")
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", [], [])), tmp_path / "new.onnx")
    page = graphml_onnx.diff(tmp_path / "old.onnx", tmp_path / "new.onnx").to_html()
    assert "&lt;b&gt;bold&lt;/b&gt;" in page
