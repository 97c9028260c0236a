"""What a reader does with the page, in a real browser."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import graphml_onnx
from tests.running.models import chain
from tests.viewing import browser, models
from tests.viewing.browser import FACTS, Shown
from tests.viewing.firefox import firefox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
REAL = {
    "bert": ROOT / "fixtures/htp/modelexport-bert-mini/model.onnx",
    "resnet": ROOT / "fixtures/htp/modelexport-resnet-mini/model.onnx",
    "bodies": ROOT / "fixtures/real/silero_vad.onnx",
    "flat": ROOT / "fixtures/real/pp_ocr_v3_det.onnx",
    "quantized": ROOT / "fixtures/real/bert_mini_onnxruntime.onnx",
}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser.browser() as started:
        yield started


@pytest.fixture
def show(chromium: Any, tmp_path: Path) -> Iterator[Callable[..., Shown]]:
    """Opens the page of a model, and judges at the end whether it asked for anything or failed."""
    shown = []
    contexts = []

    def open_page(model: Path, link: str = "", *, dark: bool = False, **options: Any) -> Shown:
        page = graphml_onnx.view(model, tmp_path / f"{len(shown)}.html", **options).page
        context = chromium.new_context(
            viewport={"width": 1200, "height": 800}, color_scheme="dark" if dark else "light"
        )
        contexts.append(context)
        shown.append(Shown(context.new_page(), page, link))
        return shown[-1]

    yield open_page
    for one in shown:
        assert one.errors == []
        assert [url for url in one.requests if not url.startswith(("file:", "blob:"))] == []
        assert len([url for url in one.requests if url.startswith("file:")]) == 1
    for context in contexts:
        context.close()


@pytest.fixture
def layers(tmp_path: Path) -> Path:
    return models.layers(tmp_path / "layers.onnx")


def test_modules_are_closed_at_first_and_open_by_double_click(show: Callable[..., Shown], layers: Path) -> None:
    shown = show(layers)
    assert shown.labels() == ["encoder", "head", "x", "y"]
    place = shown.run("(() => { const n = 1, p = g2o.onScreen(n); return [p.x, p.y + 25]; })()")
    box = shown.page.locator("canvas").first.bounding_box()
    shown.page.mouse.dblclick(box["x"] + place[0], box["y"] + place[1])
    assert "layer.1" in shown.labels()
    assert shown.selected == "encoder"


def test_keys_open_close_walk_and_leave(show: Callable[..., Shown], layers: Path) -> None:
    shown = show(layers)
    shown.keys("ArrowDown", "ArrowDown")
    assert shown.selected == "encoder"
    shown.keys("Enter")
    assert "layer.0" in shown.labels()
    shown.keys("-")
    assert "layer.0" not in shown.labels()
    shown.keys("+", "ArrowDown")
    assert shown.selected == "head"
    shown.keys("ArrowUp", "e")
    assert "/encoder/layer.2/Add" in shown.labels()
    shown.keys("c")
    assert shown.labels() == ["encoder", "head", "x", "y"]
    shown.keys("Escape")
    assert shown.selected == "layers"


def test_tree_follows_and_is_named_for_screen_readers(show: Callable[..., Shown], layers: Path) -> None:
    shown = show(layers)
    tree = shown.page.get_by_role("tree")
    tree.focus()
    shown.keys("ArrowDown", "ArrowDown", "ArrowRight")
    rows = shown.page.get_by_role("treeitem")
    assert [row.get_attribute("aria-expanded") for row in rows.all()[:4]] == ["true", None, "true", "false"]
    assert tree.get_attribute("aria-activedescendant") == "row-1"
    assert shown.selected == "encoder"
    assert shown.page.get_by_role("status").inner_text() == "encoder opened"


def test_search_finds_names_types_tensors_parameters_and_attributes(show: Callable[..., Shown], layers: Path) -> None:
    shown = show(layers)
    for query, found, kind in (
        ("elu", "/encoder/layer.0/act/Elu", "operator"),
        ("ReduceMean", "/head/ReduceMean", "ReduceMean"),
        ("layer.1 linear weight", "encoder.layer.1.linear.weight", "parameter"),
        ("layer.2/mm", "/encoder/layer.2/mm", "tensor"),
        ("keepdims", "/head/ReduceMean: keepdims", "attribute"),
        ("layer.2", "encoder.layer.2", "module"),
    ):
        shown.keys("/")
        shown.page.keyboard.type(query)
        hits = [tuple(row.locator("span").all_inner_texts()) for row in shown.page.locator(".hit[role=option]").all()]
        assert (found, kind) in hits, (query, hits)
        shown.keys("Escape")
    shown.keys("/")
    shown.page.keyboard.type("layer.2/Add")
    shown.keys("Enter")
    assert shown.selected == "/encoder/layer.2/Add"
    assert "/encoder/layer.2/Add" in shown.labels()


def test_links_lead_to_modules_and_operators(show: Callable[..., Shown], layers: Path) -> None:
    shown = show(layers, "#/encoder/layer.0")
    assert shown.selected == "layer.0"
    assert "linear" in shown.labels()
    shown.run("location.hash = '#/encoder.layer.2.linear'")
    shown.wait_until("g2o.model.labelOf(g2o.selected) === 'linear'")
    assert shown.run("location.hash") == "#/encoder/layer.2/linear"
    assert show(layers, module="encoder.layer.1").selected == "layer.1"
    link = shown.run("g2o.model.linkOf([...Array(g2o.model.count).keys()].find((n) => g2o.model.typeOf(n) === 'Elu'))")
    assert show(layers, link).selected == "/encoder/layer.0/act/Elu"


def test_details_tell_what_is_selected(show: Callable[..., Shown], layers: Path) -> None:
    shown = show(layers, "#/encoder/layer.1/linear", stats=True)
    details = shown.page.get_by_role("complementary", name="Details")
    assert "encoder.layer.1.linear.weight" in details.inner_text()
    details.get_by_role("link", name="encoder.layer.1.linear.weight").click()
    text = details.inner_text()
    for part in ("MatMul", "/encoder/layer.0/out", "FLOAT[2, 4]", "FLOAT[4, 4]", "64 bytes", "mean", "32"):
        assert part in text, part
    assert details.locator(".histogram span").count() == 32
    details.get_by_role("link", name="/encoder/layer.1/act/Elu").click()
    assert shown.selected == "/encoder/layer.1/act/Elu"
    assert "alpha\n0.5" in details.inner_text()


def test_constants_are_folded_until_asked_for(show: Callable[..., Shown], layers: Path) -> None:
    shown = show(layers, "#/head")
    assert "/head/Constant" not in shown.labels()
    assert "axes = [1]" in shown.run("g2o.scene.lines(g2o.model.children.of(g2o.selected)[0]).map((l) => l.text)")
    shown.keys("k")
    assert "/head/Constant" in shown.labels()


def test_flow_is_lit(show: Callable[..., Shown], layers: Path) -> None:
    shown = show(layers, "#/encoder/layer.1/Add")
    lit = "[...g2o.lit].filter((is, n) => is && g2o.model.kind[n] === 1).length"
    shown.keys("u")
    assert shown.run(lit) == 6
    shown.keys("d")
    assert shown.run(lit) == 5  # itself, a layer, and the mean
    shown.run("g2o.pair(g2o.model.followed('#/encoder/layer.2/Add'))")
    shown.keys("p")
    assert shown.run(lit) == 4
    shown.keys("Escape")
    assert shown.run("g2o.lit") is None


def test_bodies_and_functions_are_boxes(show: Callable[..., Shown], tmp_path: Path) -> None:
    shown = show(models.bodies_and_functions(tmp_path / "m.onnx"), "#/choice")
    assert {"then_branch", "else_branch", "Relu", "Tanh", "functions"} <= set(shown.labels())
    assert shown.run("g2o.describeEdge(g2o.selected, g2o.scene.layoutOf(g2o.selected).gaps.flat()[0])") == [
        "h: FLOAT[2, 4]"
    ]
    shown.run("location.hash = '#/second'")
    shown.wait_until("g2o.model.labelOf(g2o.selected) === 'second'")
    shown.keys("Enter")
    assert shown.selected == "local::Twice"
    assert "plus" in shown.labels()
    assert "first" in shown.page.locator(".details").inner_text()


def test_edges_between_closed_modules_are_bundled(show: Callable[..., Shown]) -> None:
    shown = show(REAL["bodies"])
    counts = shown.run("g2o.scene.layoutOf(0).ties.map((tie) => tie.tensors.length)")
    assert len(counts) == shown.run("new Set(g2o.scene.layoutOf(0).ties.map((t) => t.from + ' ' + t.to)).size")


def test_colours_follow_the_system_and_the_switch(show: Callable[..., Shown], layers: Path) -> None:
    pixel = "[...g2o.context.getImageData(3, 3, 1, 1).data].slice(0, 3).every((v) => v < 60)"
    assert show(layers, dark=True).run(pixel)
    shown = show(layers)
    assert not shown.run(pixel)
    shown.keys("t", "t")
    shown.wait_until(pixel)


def test_heat_and_map_change_the_picture(show: Callable[..., Shown], layers: Path) -> None:
    shown = show(layers)
    before = shown.run("g2o.canvas.toDataURL()")
    shown.keys("h")
    shown.wait_until(f"g2o.canvas.toDataURL() !== {json.dumps(before)}")
    shown.keys("h", "h")
    assert shown.page.locator(".legend").inner_text() == "blue to red: share of the model's MACs"
    shown.keys("m")
    assert not shown.page.locator(".minimap").is_visible()


def test_the_map_is_there_only_while_something_is_out_of_sight(show: Callable[..., Shown], layers: Path) -> None:
    shown = show(layers)
    visibility = "getComputedStyle(g2o.minimap.element).visibility"
    shown.wait_until(f"{visibility} === 'hidden'")
    shown.keys("]", "]", "]", "]")
    shown.wait_until(f"{visibility} === 'visible'")


def test_the_only_box_is_open_at_first(show: Callable[..., Shown], layers: Path) -> None:
    labels = show(REAL["bodies"]).labels()  # one If around everything, whose bodies have the modules
    assert labels.count("encoder") == labels.count("decoder") == 2
    assert {"encoder", "head"} <= set(show(layers).labels())  # there is a choice: both are closed
    assert "layer.0" not in show(layers).labels()


def test_all_is_in_sight_where_the_upper_end_would_be_empty(show: Callable[..., Shown]) -> None:
    shown = show(REAL["bodies"])
    shown.keys("e")
    assert shown.run("g2o.scene.filled(0, g2o.seen())") > 0.005
    seen, size = shown.run("g2o.seen()"), shown.run("[g2o.scene.width[0], g2o.scene.height[0]]")
    assert seen["width"] >= size[0]
    assert seen["height"] >= size[1]


def test_the_upper_end_of_a_chain_above_a_wide_box_is_shown(show: Callable[..., Shown], tmp_path: Path) -> None:
    shown = show(models.tower(tmp_path / "m.onnx"))
    shown.keys("e")
    assert shown.run("g2o.camera.scale") >= 0.2
    seen = shown.run("g2o.seen()")
    first = shown.run("(() => { const n = g2o.scene.layoutOf(0).layers[0].nodes[0]; return g2o.scene.corner(n); })()")
    assert seen["x"] < first["x"] < seen["x"] + seen["width"]
    assert seen["y"] < first["y"] < seen["y"] + seen["height"]


def test_labels_of_edges_can_be_read_over_lines(show: Callable[..., Shown], layers: Path, tmp_path: Path) -> None:
    shown = show(layers)
    with shown.page.expect_download() as waiting:
        shown.page.get_by_role("button", name="SVG", exact=True).click()
    waiting.value.save_as(tmp_path / "picture.svg")
    texts = ET.parse(tmp_path / "picture.svg").iter("{http://www.w3.org/2000/svg}text")
    around = {text.text: text.get("paint-order") for text in texts}
    assert around["2×4"] == "stroke"
    assert around["encoder"] is None


def test_measured_differences_are_a_heat_of_their_own(show: Callable[..., Shown], tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    old, new = chain(tmp_path, "old.onnx"), chain(tmp_path, "new.onnx", 2)
    shown = show(new, "#/encoder/layer.2", diff=old, numeric=True, times=True)
    assert shown.page.get_by_label("Heat colour").input_value() == "difference"
    assert shown.page.locator(".legend").inner_text().startswith("blue to red: from no difference")
    assert "SQNR" in shown.page.locator(".details").inner_text()
    assert " of a run" in shown.page.locator(".details").inner_text()
    shown.keys("h")
    assert shown.page.get_by_label("Heat colour").input_value() == "time"
    shown.keys("h")
    assert shown.page.locator(".legend").is_hidden()


def test_modules_that_look_the_same_are_one_box_until_it_is_opened(show: Callable[..., Shown], tmp_path: Path) -> None:
    layers = models.layers(tmp_path / "many.onnx", 6)
    shown = show(layers, depth=1)
    assert "layer.0 … layer.5" in shown.labels()
    assert "layer.3" not in shown.labels()
    repeat = shown.run("[...g2o.model.kind].indexOf(7)")
    assert shown.run(f"g2o.scene.lines({repeat}).map((line) => line.text)")[1] == "6 times"
    shown.run(f"g2o.toggle({repeat})")
    assert {f"layer.{number}" for number in range(6)} <= set(shown.labels())
    shown.run("location.hash = '#/encoder/layer.3'")
    shown.wait_until("g2o.model.labelOf(g2o.selected) === 'layer.3'")
    assert shown.run("location.hash") == "#/encoder/layer.3"
    link = shown.run("g2o.model.linkOf([...Array(g2o.model.count).keys()].find((n) => g2o.model.typeOf(n) === 'Elu'))")
    assert link == "#/encoder/layer.0/act/Elu"
    assert "layer.3" in show(layers, depth=1, unfold=True).labels()
    assert show(layers, "#/encoder/layer.4").selected == "layer.4"


def test_pictures_are_saved(show: Callable[..., Shown], layers: Path, tmp_path: Path) -> None:
    shown = show(layers)
    for name in ("SVG", "PNG"):
        with shown.page.expect_download() as waiting:
            shown.page.get_by_role("button", name=name, exact=True).click()
        assert waiting.value.suggested_filename == f"layers.{name.lower()}"
        waiting.value.save_as(tmp_path / name)
    texts = [element.text for element in ET.parse(tmp_path / "SVG").iter("{http://www.w3.org/2000/svg}text")]
    assert {"encoder", "head", "x", "y"} <= set(texts)
    assert (tmp_path / "PNG").read_bytes().startswith(b"\x89PNG")


@pytest.mark.usefixtures("chromium")
def test_pictures_are_written_without_a_reader(layers: Path, tmp_path: Path) -> None:
    whole = graphml_onnx.view(layers, tmp_path / "whole.svg", depth=1)
    texts = [element.text for element in ET.parse(whole.page).iter("{http://www.w3.org/2000/svg}text")]
    assert {"x", "− encoder", "layer.1", "− head", "ReduceMean"} <= set(texts)
    assert "MatMul" not in texts
    part = graphml_onnx.view(layers, tmp_path / "part.svg", module="encoder.layer.1", depth=2)
    texts = [element.text for element in ET.parse(part.page).iter("{http://www.w3.org/2000/svg}text")]
    assert "MatMul" in texts
    assert "head" not in texts
    hostile = graphml_onnx.view(models.hostile(tmp_path / "hostile.onnx"), tmp_path / "hostile.svg")
    assert any("<script>" in (element.text or "") for element in ET.parse(hostile.page).iter())
    picture = graphml_onnx.view(layers, tmp_path / "whole.png").page.read_bytes()
    assert picture.startswith(b"\x89PNG")


def test_print_shows_the_picture_alone(show: Callable[..., Shown], layers: Path) -> None:
    shown = show(layers)
    shown.run("dispatchEvent(new Event('beforeprint'))")
    shown.page.emulate_media(media="print")
    assert shown.page.locator(".print svg").is_visible()
    assert not shown.page.locator(".bar").is_visible()


def test_print_is_light_as_paper_is(show: Callable[..., Shown], layers: Path) -> None:
    ground = "document.querySelector('.print svg rect').getAttribute('fill')"
    expected = []
    for dark in (False, True):
        shown = show(layers, dark=dark)
        theme = shown.run("document.documentElement.dataset.theme")
        shown.run("dispatchEvent(new Event('beforeprint'))")
        expected.append(shown.run(ground))
        shown.run("dispatchEvent(new Event('afterprint'))")
        assert shown.run("document.documentElement.dataset.theme") == theme
        assert shown.run("document.querySelector('.print').childElementCount") == 0
    assert expected[0] == expected[1]


def test_hostile_names_stay_data(show: Callable[..., Shown], tmp_path: Path) -> None:
    shown = show(models.hostile(tmp_path / "m.onnx"))
    labels = shown.labels()
    for name in models.HOSTILE:
        assert name in labels
        shown.page.evaluate(
            "name => g2o.go([...g2o.model.kind.keys()].find((n) => n && g2o.model.nameOf(n) === name))", name
        )
        assert shown.run("g2o.model.followed(g2o.model.linkOf(g2o.selected)) === g2o.selected")
    shown.keys("/")
    shown.page.keyboard.type("turned")
    assert shown.page.locator(".hit").count() > 1
    assert shown.run("document.querySelectorAll('img, iframe, object, script').length") == 2
    assert "\u202e" not in shown.page.locator("body").inner_text()
    svg = shown.run("new XMLSerializer().serializeToString(g2o.svg())")
    assert "\\u202e" in svg
    ET.fromstring(svg)


def test_policy_stops_what_is_not_the_pages_own(show: Callable[..., Shown], layers: Path) -> None:
    shown = show(layers)
    stopped = shown.run("""async () => {
      const violated = [];
      addEventListener('securitypolicyviolation', (event) => violated.push(event.effectiveDirective));
      const script = document.createElement('script');
      script.textContent = 'globalThis.broken = true';
      document.body.append(script);
      try { await fetch('https://example.org/'); } catch {}
      await new Promise((done) => setTimeout(done, 50));
      return [globalThis.broken ?? false, violated.sort()];
    }""")
    assert stopped == [False, ["connect-src", "script-src-elem"]]
    assert len(shown.errors) >= 2
    shown.errors.clear()


def test_notebook_frame_shows_the_model(chromium: Any, layers: Path, tmp_path: Path) -> None:
    with graphml_onnx.open(layers) as graph:
        (tmp_path / "notebook.html").write_text(f"<!DOCTYPE html><title>notebook</title>{graph._repr_html_()}", "utf-8")
    page = chromium.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((tmp_path / "notebook.html").as_uri())
    frame = page.frame_locator("iframe")
    frame.get_by_role("treeitem", name="encoder").dblclick()
    frame.get_by_role("treeitem", name="layer.1").click()
    assert "encoder.layer.1" in frame.locator(".details").inner_text()
    assert errors == []
    page.close()


def test_differences_are_coloured_and_stepped_through(show: Callable[..., Shown], tmp_path: Path) -> None:
    old, new = models.layers(tmp_path / "old.onnx"), models.layers(tmp_path / "new.onnx", 4)
    shown = show(new, diff=old)
    rows = shown.page.locator(".change")
    assert rows.count() == shown.run("g2o.model.columns.changes.length") > 3
    assert shown.run("g2o.changes.get(g2o.model.followed('#/encoder'))") == "changed"
    rows.filter(has_text="/encoder/layer.3/Add").click()
    assert shown.selected == "/encoder/layer.3/Add"
    assert "added" in shown.page.locator(".details").inner_text()
    before = shown.run("g2o.change")
    shown.keys("n")
    assert shown.run("g2o.change") == (before + 1) % rows.count()


@pytest.mark.parametrize("name", REAL)
def test_everything_stands_in_its_box_and_no_edge_runs_through_a_node(show: Callable[..., Shown], name: str) -> None:
    metadata = REAL[name].with_name("model_htp_metadata.json")
    shown = show(REAL[name], metadata=metadata if metadata.exists() else None)
    shown.keys("e")
    assert shown.run(FACTS) == []
    assert shown.run("g2o.scene.open.size") > 3


@pytest.mark.parametrize("seed", range(4))
def test_tangled_modules_are_laid_out_too(show: Callable[..., Shown], tmp_path: Path, seed: int) -> None:
    shown = show(models.tangled(tmp_path / "m.onnx", seed))
    shown.keys("e")
    assert shown.run(FACTS) == []
    assert shown.run("g2o.scene.open.size") > 3


def test_a_wide_module_opens(show: Callable[..., Shown], tmp_path: Path) -> None:
    shown = show(models.wide(tmp_path / "m.onnx", 2_000))
    shown.run("g2o.go(1, true)")
    assert shown.run("g2o.scene.layoutOf(1).children.length") == 2_000
    assert shown.run(FACTS) == []


def test_firefox_shows_opens_searches_and_asks_for_nothing(layers: Path, tmp_path: Path) -> None:
    page = graphml_onnx.view(layers, tmp_path / "page.html").page
    (tmp_path / "home").mkdir()
    with firefox(tmp_path / "home") as shown:
        shown.show(page)
        assert shown.labels() == ["encoder", "head", "x", "y"]
        shown.double_click(*shown.run(_BELOW_THE_HEAD))
        assert "layer.1" in shown.labels()
        shown.keys("/", *"layer.2/Add")
        shown.keys("Enter")
        assert shown.selected == "/encoder/layer.2/Add"
        assert shown.run("location.hash") == "#/encoder/layer.2/Add"
        shown.keys("Escape", "Escape", "Escape", "c")
        assert shown.labels() == ["encoder", "head", "x", "y"]
        shown.keys("e")
        assert shown.run(f"({FACTS})()") == []
        assert shown.run(_COLOURS) > 20
        shown.show(page, "#/encoder/layer.0")
        assert shown.selected == "layer.0"
    assert shown.errors == []
    assert [url for url in shown.requests if not url.startswith(("file:", "data:"))] == []


_BELOW_THE_HEAD = """(() => {
  const { x, y } = document.querySelector('canvas').getBoundingClientRect();
  const place = g2o.onScreen(1);
  return [x + place.x, y + place.y + 25];
})()"""
"""A point of the first box, in the window."""

_COLOURS = """(() => {
  const { width, height } = document.querySelector('canvas');
  const data = document.querySelector('canvas').getContext('2d').getImageData(0, 0, width, height).data;
  return new Set(new Uint32Array(data.buffer)).size;
})()"""
"""How many colours the picture has."""
