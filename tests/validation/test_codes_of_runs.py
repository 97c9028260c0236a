"""Each code that commands warn with, other than `validate`: a case that raises it, and a near miss."""

from __future__ import annotations

import ast
import copy
import json
import pickle
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import onnx
import pytest
from onnx import TensorProto, helper

import graphml_onnx
from benchmarks import graphs
from graphml_onnx import Notice
from graphml_onnx import hierarchy as package
from graphml_onnx.hierarchy import Graph, Hierarchy, HtpMetadata, Operator, read_metadata
from graphml_onnx.validation.codes import CODES
from tests.common import external_models
from tests.common.command import in_process
from tests.hierarchy.htp_samples import build_hierarchy, metadata, module

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

SOURCE = Path(graphml_onnx.__file__).parent
NET = module("/Net", "", module("/Net/A.0", "a"), module("/Net/B", "b"), module("/Net/B", "c"))


class _Case(NamedTuple):
    raises: Callable[[Path], Sequence[Notice]]
    near: Callable[[Path], Sequence[Notice]]


def _told(*operators: Operator, given: HtpMetadata | None) -> Callable[[Path], Sequence[Notice]]:
    return lambda _: build_hierarchy(operators, given).findings


def _named(tag: str, own: str | None = None) -> Callable[[Path], Sequence[Notice]]:
    """One operator, and the tag that the metadata give it."""
    return _told(Operator("Add", tag=own), given=metadata(NET, {"Add": tag}))


def _deep(levels: int) -> Callable[[Path], Sequence[Notice]]:
    text = '{"class_name": "M", "children": {"M": ' * (levels - 1) + '{"class_name": "M"}' + "}}" * (levels - 1)
    given = read_metadata(f'{{"modules": {text}, "nodes": {{"Add": "{"/M" * levels}"}}}}'.encode(), None)
    return _told(Operator("Add"), given=given)


def _owners(*modules: str) -> Callable[[Path], Sequence[Notice]]:
    """Operators that take parameters of module ``a``, and the modules that the metadata put them in."""
    operators = tuple(Operator(f"n{i}", op_type="MatMul", inputs=("x", f"a.{i}.weight")) for i in range(len(modules)))
    graph = Graph(operators, {f"a.{i}.weight": (2, 2) for i in range(len(modules))})
    given = metadata(NET, {f"n{i}": tag for i, tag in enumerate(modules)})

    def build(_: Path) -> Sequence[Notice]:
        found: Hierarchy = package.build_hierarchy(graph, given)
        return found.findings

    return build


def _contexts(embedded: int) -> Callable[[Path], Sequence[Notice]]:
    def build(folder: Path) -> Sequence[Notice]:
        node = helper.make_node(
            "EPContext", ["x"], ["y"], domain="com.microsoft", embed_mode=embedded, ep_cache_context="model_qnn.bin"
        )
        return graphml_onnx.encode(_saved(folder / "m.onnx", [node], ["com.microsoft"])).findings

    return build


def _saved(
    path: Path, nodes: Sequence[onnx.NodeProto], domains: Sequence[str] = (), shape: Sequence[int] | None = (1,)
) -> Path:
    """A model from ``x``, one number, to ``y``, of which the shape is given."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, size) for name, size in (("x", [1]), ("y", shape))]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    opsets = [helper.make_opsetid("", 17), *(helper.make_opsetid(domain, 1) for domain in domains)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), path)
    return path


def _decoded(into: str) -> Callable[[Path], Sequence[Notice]]:
    def decode(folder: Path) -> Sequence[Notice]:
        given = folder / "given"
        given.mkdir()
        model = external_models.model_with(external_models.external("w", "w.bin"))
        path = external_models.save(given, model, {"w.bin": bytes(40)})
        graph = graphml_onnx.encode(path, given / "graph.graphml", parameters="reference").graphml
        (folder / into).mkdir(exist_ok=True)
        return graphml_onnx.decode(graph, folder / into / "decoded.onnx").findings

    return decode


def _shapes(operators: int) -> Callable[[Path], Sequence[Notice]]:
    def read(folder: Path) -> Sequence[Notice]:
        with graphml_onnx.open(graphs.bodies(folder / "m.onnx", operators), infer_shapes=True) as graph:
            for body in graph.bodies:  # shapes are inferred when one is asked for
                assert [tensor.type for tensor in body.tensors.values()]
            return graph.findings

    return read


def _part(domain: str, operator: str) -> Callable[[Path], Sequence[Notice]]:
    """One operator of ``x -> first -> second -> y``; the tensor between them has a type if ONNX knows ``first``."""

    def extract(folder: Path) -> Sequence[Notice]:
        nodes = [
            helper.make_node("Abs", ["x"], ["h"], "first", domain=domain),
            helper.make_node("Neg", ["h"], ["y"], "second"),
        ]
        model = _saved(folder / "m.onnx", nodes, [domain] if domain else ())
        return graphml_onnx.extract(model, folder / "part.onnx", operators=[operator]).findings

    return extract


def _reshaped(size: int | str) -> Callable[[Path], Sequence[Notice]]:
    """An operator behind a Reshape to a shape of this many numbers."""

    def extract(folder: Path) -> Sequence[Notice]:
        nodes = [helper.make_node("Reshape", ["x", "n"], ["r"]), helper.make_node("Relu", ["r"], ["y"], "relu")]
        model = onnx.load(_saved(folder / "m.onnx", nodes, shape=None))
        model.graph.input.append(helper.make_tensor_value_info("n", TensorProto.INT64, [size]))
        onnx.save(model, folder / "m.onnx")
        return graphml_onnx.extract(folder / "m.onnx", folder / "part.onnx", operators=["relu"]).findings

    return extract


def _viewed(*, missing: bool) -> Callable[[Path], Sequence[Notice]]:
    def view(folder: Path) -> Sequence[Notice]:
        model = external_models.model_with(external_models.external("w", "w.bin"))
        path = external_models.save(folder, model, {} if missing else {"w.bin": bytes(40)})
        return graphml_onnx.view(path, stats=True).findings

    return view


CASES: dict[str, _Case] = {
    "metadata-schema": _Case(
        _told(given=metadata(NET, {}, model="Net")), _told(given=metadata(NET, {})),
    ),
    "metadata-empty": _Case(
        _told(Operator("/a/Add", tag="/A"), given=metadata({}, {"/a/Add": "/A"})),
        _told(Operator("/a/Add"), given=metadata(NET, {"/a/Add": "/Net/A.0"})),
    ),
    "metadata-of-another": _Case(
        _told(*map(Operator, "abc"), given=metadata(NET, {"a": "/Net"})),
        _told(*map(Operator, "ab"), given=metadata(NET, {"a": "/Net"})),
    ),
    "parameters-contrary": _Case(
        _owners("/Net/B", "/Net/B", "/Net/B", "/Net/A.0"), _owners("/Net/B", "/Net/B", "/Net/A.0", "/Net/A.0")
    ),
    "tag-contrary": _Case(_named("/Net", "/Net/A.0"), _named("/Net", "/Net")),
    "tag-unknown": _Case(_named("/Net/A.01"), _named("/Net/A.0")),
    "tag-shared": _Case(
        _named("/Net/B"), _told(Operator("/c/Add"), given=metadata(NET, {"/c/Add": "/Net/B"})),
    ),
    "too-deep": _Case(_deep(101), _deep(100)),
    "unplaced-operators": _Case(
        _told(Operator("a", tag="/Net/A"), Operator("Constant_1"), given=None),
        _told(Operator("a", tag="/Net/A"), Operator("b", tag="/Net"), given=None),
    ),
    "companion-files": _Case(_contexts(0), _contexts(1)),
    "data-files-elsewhere": _Case(_decoded("elsewhere"), _decoded("given")),
    "shapes-not-inferred": _Case(_shapes(448), _shapes(14)),
    "input-without-shape": _Case(_reshaped("k"), _reshaped(3)),
    "output-without-shape": _Case(_reshaped("k"), _reshaped(3)),
    "output-without-type": _Case(_part("of.another", "first"), _part("", "first")),
    "unreadable-weights": _Case(_viewed(missing=True), _viewed(missing=False)),
}  # fmt: skip


@pytest.mark.parametrize("code", CASES)
def test_a_case_and_a_near_miss(tmp_path: Path, code: str) -> None:
    for name in ("case", "near"):
        (tmp_path / name).mkdir()
    assert code in {notice.code for notice in CASES[code].raises(tmp_path / "case")}
    assert code not in {notice.code for notice in CASES[code].near(tmp_path / "near")}


def test_no_code_is_forgotten() -> None:
    assert CASES.keys() == {name for name, code in CODES.items() if code.layer == "run"}


def test_every_notice_has_a_code_of_the_table() -> None:
    """Wherever the library makes one; all codes are literals."""
    used: set[str] = set()
    for path in SOURCE.rglob("*.py"):
        for call in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(call, ast.Call) and getattr(call.func, "id", "") in ("Notice", "Tally"):
                code = call.args[0]
                if isinstance(code, ast.Constant):
                    used.add(code.value)
                else:
                    assert path.name == "findings.py"  # of a tally, which got its code from such a call
    assert used <= CODES.keys()
    assert used >= CASES.keys()


def test_a_notice_is_its_text_and_keeps_its_code() -> None:
    notice = Notice("too-deep", "a text")
    assert notice == "a text"
    for again in (copy.copy(notice), copy.deepcopy(notice), pickle.loads(pickle.dumps(notice))):
        assert (again, again.code) == ("a text", "too-deep")


def test_commands_tell_the_code(tmp_path: Path) -> None:
    node = helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft", embed_mode=0, ep_cache_context="a.bin")
    _saved(tmp_path / "m.onnx", [node], ["com.microsoft"])
    assert in_process(tmp_path, "encode", "m.onnx").err.endswith('not copied: "a.bin" [companion-files]\n')
    ran = in_process(tmp_path, "encode", "m.onnx", "--force", "--json")
    (finding,) = json.loads(ran.out)["findings"]
    assert finding["code"] == "companion-files"
    assert finding["message"].endswith('not copied: "a.bin"')
