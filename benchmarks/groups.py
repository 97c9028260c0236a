"""The groups of cases: what is measured, on which models, and beside what."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, get_args

from benchmarks import graphs, models
from benchmarks.cases import Case, call, consume, decode, encode, transform
from benchmarks.runner import run
from graphml_onnx import Layout, ParameterStrategy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

STRATEGIES: tuple[ParameterStrategy, ...] = get_args(ParameterStrategy)
LAYOUTS: tuple[Layout, ...] = get_args(Layout)
SIZES = (10_000, 100_000, 1_000_000)
QUICK_SIZES = (200, 400)
SHAPES: dict[str, tuple[Callable[[Path, int], Path], Layout]] = {
    "flat": (graphs.flat, "nested"),
    "deep": (graphs.deep, "nested"),
    "deep, layout flat": (graphs.deep, "flat"),
    "small modules": (graphs.small_modules, "nested"),
    "bodies": (graphs.bodies, "nested"),
}

COPY, SHA = "cp", "SHA-256"
NETWORKX_WRITE, NETWORKX_READ = "networkx: build and write", "networkx: read"
NETWORKX_WRITE_LESS, NETWORKX_READ_LESS = "networkx: build and write, less", "networkx: read, less"
TO_JSON, FROM_JSON = "protobuf: to JSON", "protobuf: from JSON"
PARSE = "protobuf: parse"
IMPORT_ONNX = "python -c 'import onnx'"
ENCODE_SMALL = "g2o encode, 20 operators"


@dataclass(frozen=True, slots=True)
class Setup:
    """A group of cases.

    Attributes:
        title: what they work on.
        make: writes the models to a folder and gives the cases; told whether the run is a quick one.
        turns: how often the cases are run.
        warm_up: whether a turn is run before.
    """

    title: str
    make: Callable[[Path, bool], list[Case]]
    turns: int
    warm_up: bool = True


def weights(layers: int, vocabulary: int, folder: Path, quick: bool) -> list[Case]:
    model = models.bert_base(folder / "bert.onnx", 0 if quick else layers, 1_000 if quick else vocabulary)
    copy = folder / "copy"
    cases = [
        transform(COPY, "peers:copy", model, copy).as_baseline(),
        consume(SHA, "peers:sha256", model).as_baseline(),
        transform("cp, and onto the disk", "peers:copy_to_disk", model, copy),
        transform("onnx: load and save", "peers:onnx_load_save", model, copy),
    ]
    for strategy in STRATEGIES:
        new = folder / "new.graphml"
        cases += [encode(strategy, model, new, parameters=strategy, check=check) for check in (True, False)]
    for strategy in STRATEGIES:
        graph = folder / f"{strategy}.graphml"
        run(encode(strategy, model, graph, parameters=strategy))
        cases.append(decode(strategy, graph))
    return cases


def structure(folder: Path, quick: bool) -> list[Case]:
    model = graphs.tree(folder / "tree.onnx", 2_000 if quick else 100_000)
    text, less, new = folder / "model.json", folder / "less.graphml", folder / "new"
    run(transform("", "networkx_peers:write_edges", model, less))
    run(transform("", "peers:protobuf_to_json", model, text))
    ours = {layout: folder / f"{layout}.graphml" for layout in LAYOUTS}
    for layout, graph in ours.items():
        run(encode("", model, graph, layout=layout))
    cases = [
        transform(NETWORKX_WRITE, "networkx_peers:write_everything", model, new).as_baseline(),
        consume(NETWORKX_READ, "networkx_peers:read", ours["flat"]),
        transform(NETWORKX_WRITE_LESS, "networkx_peers:write_edges", model, new),
        consume(NETWORKX_READ_LESS, "networkx_peers:read", less),
        transform(TO_JSON, "peers:protobuf_to_json", model, new),
        transform(FROM_JSON, "peers:protobuf_from_json", text, new),
        transform("onnx: load and save", "peers:onnx_load_save", model, new),
        consume(PARSE, "peers:protobuf_parse", model),
        *(consume(f"lxml: parse {layout}", "peers:lxml_parse", ours[layout]) for layout in ("nested", "flat")),
    ]
    for layout in LAYOUTS:
        cases += [encode(layout, model, folder / "new.graphml", layout=layout, check=check) for check in (True, False)]
    return cases + [decode(layout, graph) for layout, graph in ours.items()]


def exports(folder: Path, quick: bool) -> list[Case]:
    model = graphs.exported(folder / "exported.onnx", 400 if quick else 20_000)
    text, graph, new = folder / "model.json", folder / "nested.graphml", folder / "new"
    run(transform("", "peers:protobuf_to_json", model, text))
    run(encode("", model, graph))
    return [
        transform(TO_JSON, "peers:protobuf_to_json", model, new).as_baseline(),
        transform(FROM_JSON, "peers:protobuf_from_json", text, new).as_baseline(),
        transform(NETWORKX_WRITE_LESS, "networkx_peers:write_edges", model, new),
        transform("onnx: load and save", "peers:onnx_load_save", model, new),
        consume("lxml: parse nested", "peers:lxml_parse", graph),
        *(encode("nested", model, folder / "new.graphml", check=check) for check in (True, False)),
        decode("nested", graph),
    ]


def scale(shape: str, folder: Path, quick: bool) -> list[Case]:
    write, layout = SHAPES[shape]
    cases = []
    for size in QUICK_SIZES if quick else SIZES:
        place = folder / str(size)
        place.mkdir()
        model = write(place / "model.onnx", size)
        graph = place / "model.graphml"
        run(encode("", model, graph, layout=layout, check=False))
        new = [encode(layout, model, place / "new.graphml", layout=layout), decode(layout, graph)]
        cases += [case.of(size) for case in (consume(PARSE, "peers:protobuf_parse", model), *new)]
    return cases


def scale_name(shape: str) -> str:
    """The group of a shape."""
    return f"scale-{shape.replace(',', '').replace(' ', '-')}"


def small_files(folder: Path, quick: bool) -> list[Case]:
    source = models.onnx_test_suite(folder / "models", everything=not quick)
    new = folder / "new"
    kept = {name: folder / name for name in ("networkx", "sidecar", "embedded")}
    less = transform("networkx: build and write, less", "many:networkx_write_all", source, kept["networkx"])
    run(less)
    cases = [
        transform("onnx: load and save", "many:onnx_load_save_all", source, new).as_baseline(),
        transform("read and write", "many:copy_all", source, new),
        transform("networkx: build and write, less", "many:networkx_write_all", source, new),
        consume("networkx: read, less", "many:networkx_read_all", kept["networkx"]),
    ]
    function = "benchmarks.many:encode_all"
    strategies: tuple[ParameterStrategy, ...] = ("sidecar", "embedded")  # reference: each in the folder of its model
    for strategy in strategies:
        arguments = {"source": source, "parameters": strategy}
        run(call("", function, kept[strategy], target=kept[strategy], self_check=False, **arguments))
        for check in (True, False):
            name = f"encode, {strategy}" + ("" if check else ", no self-check")
            cases.append(call(name, function, new, target=new, self_check=check, **arguments))
        cases.append(transform(f"decode, {strategy}", "many:decode_all", kept[strategy], new))
    return cases


def start(folder: Path, quick: bool) -> list[Case]:
    del quick  # it is quick
    model = graphs.tree(folder / "small.onnx", 20)
    graph, new, back = folder / "small.graphml", folder / "new.graphml", folder / "back.onnx"
    run(encode("", model, graph))
    g2o = [sys.executable, "-m", "graphml_onnx.cli"]
    return [
        Case(IMPORT_ONNX, [sys.executable, "-c", "import onnx"], baseline=True),
        Case("g2o --help", [*g2o, "--help"]),
        Case(ENCODE_SMALL, [*g2o, "encode", str(model), "--output", str(new)], (new,)),
        Case("g2o decode, 20 operators", [*g2o, "decode", str(graph), "--output", str(back)], (back,)),
    ]


GROUPS = {
    "start": Setup("Whole processes", start, 11),
    "structure": Setup("A graph of 100,000 operators in a tree of modules", structure, 5),
    "exports": Setup("20,000 operators with the metadata and types that torch's exporter writes", exports, 5),
    "weights-64mb": Setup("64 MB of weights", partial(weights, 2, 1_100), 7),
    "weights-438mb": Setup("438 MB of weights, the size of BERT-base", partial(weights, 12, models.VOCABULARY), 5),
    "weights-2gb": Setup("2 GB of weights", partial(weights, 67, models.VOCABULARY), 3, warm_up=False),
    "small-files": Setup("The models of ONNX's own test suite, one after the other", small_files, 2, warm_up=False),
    **{
        scale_name(shape): Setup(
            f"The cost of an operator in graphs of three sizes: {shape}", partial(scale, shape), 2, warm_up=False
        )
        for shape in SHAPES
    },
}
