"""The page of ``g2o view`` in the system's Chromium, with peers beside it: ``python -m benchmarks.view``.

Needs `make browser`; ``--netron PYTHON`` and ``--explorer PYTHON`` name a Python that has Netron or Model Explorer
(`ai-edge-model-explorer`). For each size of model: seconds to make the
page (reading the model and shape inference included, imports not), its size, milliseconds from navigation to the first
picture, resident memory of the renderer in MB, and the slowest of some searches. For modules of several sizes: opening,
and a frame while the picture moves.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from onnx import TensorProto, helper, load, save

import graphml_onnx
from benchmarks import graphs, models

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from playwright.sync_api import Browser, Page

_SIZES = (20_000, 100_000)
_CHILDREN = (50, 500, 2_000)
_QUERIES = ("r", "re", "rel", "relu", "layer 7", "value_99")
_PATIENCE = 300_000  # ms
_STARTING = 600  # times that a server is asked whether it is there


def one_module(path: Path, children: int) -> Path:
    """A module of so many operators, each of which takes what the one before it gives and what an earlier one gave."""
    names = ["x"]
    nodes = []
    for number in range(children):
        earlier = names[max(0, len(names) - 1 - number * 7 % 23)]
        nodes.append(helper.make_node("Add", [names[-1], earlier], [f"/block/t{number}"], name=f"/block/Add_{number}"))
        names.append(f"/block/t{number}")
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 4]) for name in ("x", names[-1])]
    graph = helper.make_graph(nodes, "one", ends[:1], ends[1:])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def _descendants(parent: int) -> Iterator[int]:
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                children.setdefault(int((folder / "stat").read_text().rpartition(")")[2].split()[1]), []).append(
                    int(folder.name)
                )
            except OSError:
                continue
    todo = [parent]
    while todo:
        process = todo.pop()
        yield process
        todo += children.get(process, [])


def renderer_memory() -> float:
    """Resident memory of the largest renderer below this process, in MB."""
    most = 0.0
    for process in _descendants(os.getpid()):
        try:
            command = Path(f"/proc/{process}/cmdline").read_bytes()
            if b"--type=renderer" in command:
                pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
                most = max(most, pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
        except OSError:
            continue
    return most


def shown(browser: Browser, page: Path) -> tuple[Page, float]:
    """A page once it is drawn, and the milliseconds that took."""
    tab = browser.new_page(viewport={"width": 1440, "height": 900})
    tab.goto(page.as_uri())
    tab.wait_for_selector("html[data-drawn]", state="attached", timeout=_PATIENCE)
    return tab, float(tab.evaluate("document.documentElement.dataset.drawn"))


def _median(tab: Page, script: str, turns: int) -> float:
    return statistics.median(float(tab.evaluate(script)) for _ in range(turns))


_SEARCH = """() => { g2o.search.input.value = %r; const t = performance.now(); g2o.search.find();
  return performance.now() - t; }"""
_OPEN = """() => { g2o.scene.set(1, false); g2o.rearranged(); g2o.drawNow(); const t = performance.now();
  g2o.go(1, true); g2o.drawNow(); return performance.now() - t; }"""
_MOVE = """() => { const t = performance.now(); for (let i = 0; i < 60; i++) { g2o.pan(0, -3); g2o.drawNow(); }
  return (performance.now() - t) / 60; }"""


def of_sizes(browser: Browser, folder: Path, sizes: Sequence[int], turns: int) -> Iterator[list[str]]:
    """Rows for models of many operators."""
    for operators in sizes:
        model = graphs.tree(folder / f"{operators}.onnx", operators)
        page = folder / f"{operators}.html"
        seconds = []
        for _ in range(turns):
            start = time.perf_counter()
            graphml_onnx.view(model, page, overwrite=True)
            seconds.append(time.perf_counter() - start)
        firsts = []
        for _ in range(turns):
            tab, first = shown(browser, page)
            firsts.append(first)
            memory = renderer_memory()
            tab.evaluate("g2o.search.find()")
            tab.evaluate("g2o.search.input.value = 'x'; g2o.search.find()")  # builds the index
            search = max(_median(tab, _SEARCH % query, turns) for query in _QUERIES)
            tab.close()
        size = page.stat().st_size
        yield [
            f"{operators:,} operators",
            f"make {statistics.median(seconds):.2f} s",
            f"page {size / 1e3:.0f} kB ({(size - 400_000) / operators:+.1f} bytes/operator above 400 kB)",
            f"first picture {statistics.median(firsts):.0f} ms",
            f"renderer {memory:.0f} MB",
            f"search {search:.1f} ms",
        ]


def of_modules(browser: Browser, folder: Path, turns: int) -> Iterator[list[str]]:
    """Rows for one module with many children."""
    for children in _CHILDREN:
        page = folder / f"module-{children}.html"
        graphml_onnx.view(one_module(folder / f"module-{children}.onnx", children), page, overwrite=True)
        tab, _ = shown(browser, page)
        opening = _median(tab, _OPEN, turns)
        frame = _median(tab, _MOVE, turns)
        tab.close()
        yield [f"{children:,} children", f"opens in {opening:.0f} ms", f"a frame takes {frame:.1f} ms"]


def of_weights(folder: Path, turns: int) -> list[str]:
    """The row for a model of 438 MB of weights."""
    model = models.bert_base(folder / "bert.onnx")
    seconds = []
    for _ in range(turns):
        start = time.perf_counter()
        graphml_onnx.view(model, folder / "bert.html", overwrite=True)
        seconds.append(time.perf_counter() - start)
    return ["438 MB of weights", f"make {statistics.median(seconds):.2f} s"]


@contextmanager
def _served(command: Sequence[str], port: int) -> Iterator[None]:
    """Runs a server until its port has answered, and ends it afterwards."""
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(_STARTING):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield
    finally:
        server.kill()
        server.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _of_peer(browser: Browser, name: str, url: str, sign: str, dialog: str) -> list[str]:
    """The row for a program that draws in the browser: until what `sign` selects is there."""
    tab = browser.new_page(viewport={"width": 1440, "height": 900})
    start = time.perf_counter()
    tab.goto(url, wait_until="commit")
    found, answer = tab.locator(sign).first, tab.locator(dialog).first
    while not found.count():
        if answer.is_visible():
            answer.click()
        tab.wait_for_timeout(50)
        if time.perf_counter() - start > _PATIENCE / 1000:
            return [name, "no picture"]
    seconds = time.perf_counter() - start
    row = [name, f"first picture {seconds * 1000:.0f} ms", f"renderer {renderer_memory():.0f} MB"]
    tab.close()
    return row


def of_netron(browser: Browser, python: str, model: Path) -> list[str]:
    """The row for Netron, until its picture has nodes."""
    port = _free_port()
    code = f"import netron, time; netron.start({str(model)!r}, ('127.0.0.1', {port}), browse=False); time.sleep(900)"
    with _served([python, "-c", code], port):
        # It warns of large models.
        url, dialog = f"http://127.0.0.1:{port}/", "#message button, #message-button"
        return _of_peer(browser, f"Netron, {model.stem} operators", url, "#nodes > *", dialog)


def of_explorer(browser: Browser, python: str, model: Path) -> list[str]:
    """The row for Model Explorer, which reads no ONNX: it gets the nodes, edges and scopes as its own JSON."""
    port = _free_port()
    graph = model.with_suffix(".json")
    graph.write_text(json.dumps(_explorer_graph(model)))
    program = str(Path(python).with_name("model-explorer"))
    with _served([program, str(graph), "--no_open_in_browser", "--port", str(port)], port):
        wanted = quote(json.dumps({"models": [{"url": str(graph)}]}))
        url = f"http://localhost:{port}/?data={wanted}"
        return _of_peer(browser, f"Model Explorer, {model.stem} operators", url, "text=op node count", "#no-dialog")


def _explorer_graph(model: Path) -> dict[str, object]:
    graph = load(model).graph
    made = {value.name: (f"input {value.name}", "0") for value in graph.input}
    nodes: list[dict[str, object]] = [
        {"id": f"input {value.name}", "label": value.name, "namespace": ""} for value in graph.input
    ]
    for number, node in enumerate(graph.node):
        edges = [
            {"sourceNodeId": made[name][0], "sourceNodeOutputId": made[name][1], "targetNodeInputId": str(index)}
            for index, name in enumerate(node.input)
            if name in made
        ]
        scope = node.name.strip("/").rpartition("/")[0]
        nodes.append({"id": str(number), "label": node.op_type, "namespace": scope, "incomingEdges": edges})
        made |= {name: (str(number), str(index)) for index, name in enumerate(node.output)}
    return {"label": model.stem, "graphs": [{"id": model.stem, "nodes": nodes}]}


def main() -> None:
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--netron", metavar="PYTHON", help="a Python that has Netron, to measure it too")
    parser.add_argument("--explorer", metavar="PYTHON", help="a Python that has Model Explorer, to measure it too")
    parser.add_argument("--sizes", type=int, nargs="+", default=_SIZES, help="operators of the models")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--no-weights", action="store_true", help="leave out the model of 438 MB")
    options = parser.parse_args()
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sys.exit("Chromium is not installed: run `make browser`")
    with tempfile.TemporaryDirectory(prefix="g2o-view-") as name, sync_playwright() as playwright:
        folder = Path(name)
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=program, args=sandbox)
        for row in of_modules(browser, folder, options.turns):
            print("; ".join(row), flush=True)
        for row in of_sizes(browser, folder, options.sizes, options.turns):
            print("; ".join(row), flush=True)
        for peer, python in ((of_netron, options.netron), (of_explorer, options.explorer)):
            for operators in options.sizes if python else ():
                print("; ".join(peer(browser, python, folder / f"{operators}.onnx")), flush=True)
        if not options.no_weights:
            print("; ".join(of_weights(folder, options.turns)), flush=True)
        browser.close()


if __name__ == "__main__":
    main()
