"""Modules in bodies of operators and in functions: in the graph, in `g2o inspect`, on the page, in the tables."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import graphml_onnx
from graphml_onnx.errors import UsageError
from graphml_onnx.graph.inspection import folded_shares, module_shares
from graphml_onnx.graph.model_graph import ModelGraph
from graphml_onnx.viewing.tables import Tables
from tests.common.command import in_process
from tests.graph.models import with_body

FIXTURES = Path(__file__).parents[2] / "fixtures"
SILERO = FIXTURES / "real" / "silero_vad.onnx"  # an If around everything, with a model of its own in each branch


@pytest.fixture(scope="module", params=["onnx", "graphml"])
def silero(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if request.param == "onnx":
        return SILERO
    graph = tmp_path_factory.mktemp("silero") / "silero.graphml"
    graphml_onnx.encode(SILERO, graph)
    return graph


def test_a_body_has_modules_of_its_own(silero: Path) -> None:
    with graphml_onnx.open(silero) as graph:
        (choice,) = (operator for operator in graph.operators if operator.bodies)
        for body in choice.bodies:
            assert body.root is not None
            assert [module.path for module in body.root.children] == ["stft", "encoder", "decoder"]
            assert body.root.parent is graph.root
            conv = next(
                operator for operator in body.operators if operator.name.endswith("/encoder/1/reparam_conv/Conv")
            )
            assert conv.module.path == "encoder.1.reparam_conv"
            assert conv.module.body is body
        assert [root.name for root in graph.root.roots] == ["If_0/else_branch", "If_0/then_branch"]
        for module in graph.all_modules():
            assert graph.module(module.label) is module
        assert graph.module("If_0/then_branch/encoder").body is choice.bodies[1]
        assert graph.module("encoder").body is choice.bodies[0]  # the first of several
        assert graph.module("If_0/then_branch") is choice.bodies[1].root


def test_every_module_that_encode_counts_is_there(silero: Path, tmp_path: Path) -> None:
    encoded = graphml_onnx.encode(SILERO, tmp_path / "counted.graphml")
    with graphml_onnx.open(silero) as graph:
        roots = [body.root for body in graph.bodies if body.root is not None]
        assert len([*graph.all_modules()]) - len(roots) == encoded.modules == len(graph.modules) + graph.inner_modules


def test_both_forms_have_the_same_modules_of_bodies(tmp_path: Path) -> None:
    for model in (SILERO, FIXTURES / "small" / "constants_in_if.onnx"):
        graphml_onnx.encode(model, tmp_path / "m.graphml", overwrite=True)
        with graphml_onnx.open(model) as ours, graphml_onnx.open(tmp_path / "m.graphml") as theirs:
            assert trees(ours) == trees(theirs)


def trees(graph: ModelGraph) -> list[object]:
    places = [(operator.label, operator.module.path, operator.module.body.path) for operator in graph.all_operators()]
    return [[body.root and body.root.to_dict() for body in graph.bodies], places]


def test_sums_count_each_operator_and_parameter_once(silero: Path) -> None:
    with graphml_onnx.open(silero) as graph:
        shares = module_shares(graph.root, depth=1)
        assert shares[0].operators == len([*graph.all_operators()])
        assert shares[0].parameters == sum(parameter.size for parameter in graph.parameters)
        assert sum(share.operators for share in shares[1:]) == shares[0].operators - len(graph.operators)
        assert [(row.share.name, row.share.operators) for row in folded_shares(graph.root, 1)] == [
            (share.name, share.operators) for share in shares
        ]


def test_a_weight_that_only_one_module_of_a_body_takes_belongs_to_it(tmp_path: Path) -> None:
    model = with_body()
    for node in model.graph.node[2].attribute[0].g.node:
        node.input[:] = [name.replace("enc.0.weight", "w2") for name in node.input]
    both = numpy_helper.from_array(np.zeros(2, np.float32), "both")
    model.graph.initializer.extend([numpy_helper.from_array(np.ones((32, 32), np.float32), "w2"), both])
    for branch in model.graph.node[2].attribute:
        branch.g.node[1].input.append("both")
    onnx.save(model, tmp_path / "m.onnx")
    graphml_onnx.encode(tmp_path / "m.onnx", tmp_path / "m.graphml")
    first = model.graph.node[2].attribute[0].name
    for path in (tmp_path / "m.onnx", tmp_path / "m.graphml"):
        with graphml_onnx.open(path) as graph:
            owner = graph.parameter("w2").module
            assert (owner.path, owner.body.path) == (owner.body.operators[0].module.path, f"/enc/0/If/{first}")
            assert graph.parameter("both").module is graph.module("enc.0")  # around both branches
            assert graph.parameter("enc.0.weight").module is graph.module("enc.0")  # by its name


def test_inspect_shows_them(silero: Path, tmp_path: Path) -> None:
    shown = in_process(tmp_path, "inspect", str(silero), "--depth", 2).out
    assert [line.split()[:2] for line in shown.splitlines() if "encoder" in line] == [["encoder", "16"]] * 2
    assert "\n  If_0/then_branch" in shown
    assert "44 in bodies and functions" in shown

    below = in_process(
        tmp_path, "inspect", str(silero), "--module", "If_0/then_branch/encoder", "--depth", "1", "--json"
    ).out
    first, *others = json.loads(below)["modules"]
    assert (first["name"], first["body"]) == ("encoder", "If_0/then_branch")
    assert [other["name"] for other in others] == [f"encoder.{number}" for number in range(4)]
    weights = in_process(tmp_path, "inspect", str(silero), "--by", "parameter").out
    assert " If_0/then_branch/encoder.3.reparam_conv " in weights


def test_each_operator_of_a_body_says_what_placed_it(tmp_path: Path) -> None:
    places = json.loads(in_process(tmp_path, "inspect", str(SILERO), "--by", "place", "--json").out)["places"]
    found = [place for place in places if place["operator"].endswith("/encoder/1/reparam_conv/Conv")]
    assert [place["body"] for place in found] == ["If_0/else_branch", "If_0/then_branch"]
    assert {(place["module"], place["placed_by"]) for place in found} == {("encoder.1.reparam_conv", "name")}


def test_a_module_of_a_body_cannot_be_cut_out(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is in the body 'If_0/else_branch'"):
        graphml_onnx.extract(SILERO, tmp_path / "part.onnx", module="encoder")
    onnx.save(with_body(), tmp_path / "m.onnx")
    with pytest.raises(UsageError, match="is in the body") as caught:
        graphml_onnx.extract(tmp_path / "m.onnx", tmp_path / "part.onnx", module="enc.0.Relu")
    assert caught.value.remedy == "choose the module around it: enc.0"


def test_only_modules_of_the_main_graph_become_functions(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no modules in its main graph; those in bodies and functions stay"):
        graphml_onnx.functions(SILERO, tmp_path / "f.onnx")


def test_the_page_has_them_in_the_box_of_their_body(silero: Path) -> None:
    with graphml_onnx.open(silero) as graph:
        tables = Tables(graph)
        parents = tables.document()["parent"]
        assert isinstance(parents, list)
        for root in graph.root.roots:
            assert tables.node_of[root] == tables.node_of[root.body]
            for module in root.children:
                assert parents[tables.node_of[module]] == tables.node_of[root.body]
            for operator in root.body.operators:
                assert parents[tables.node_of[operator]] == tables.node_of[operator.module]


def in_function() -> onnx.ModelProto:
    """A function of four equal layers and a head."""
    value = "x"
    nodes = []
    for step in ("layer.0", "layer.1", "layer.2", "layer.3", "head"):
        for number, op_type in enumerate(("Relu", "Neg") if step != "head" else ("Exp",)):
            made = f"{step}{number}"
            nodes.append(helper.make_node(op_type, [value], [made], f"/{step}/{op_type}"))
            value = made
    function = helper.make_function("own", "Layers", ["x"], [value], nodes, [helper.make_opsetid("", 18)])
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in "ab"]
    graph = helper.make_graph([helper.make_node("Layers", ["a"], ["b"], "call", "own")], "g", ends[:1], ends[1:])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("own", 1)]
    return helper.make_model(graph, functions=[function], opset_imports=opsets)


def test_functions_have_modules(tmp_path: Path) -> None:
    onnx.save(in_function(), tmp_path / "m.onnx")
    graphml_onnx.encode(tmp_path / "m.onnx", tmp_path / "m.graphml")
    for path in (tmp_path / "m.onnx", tmp_path / "m.graphml"):
        with graphml_onnx.open(path) as graph:
            (function,) = graph.functions.values()
            assert function.root is not None
            assert [m.path for m in function.root.descendants()] == [*(f"layer.{n}" for n in range(4)), "head"]
            tables = Tables(graph)
            (repeat,) = tables.repeats.values()
            assert [module.path for module in repeat] == [f"layer.{number}" for number in range(4)]
        shown = in_process(tmp_path, "inspect", str(path)).out
        assert "own::Layers" in shown
        assert "layer.0 … layer.3 (4 alike)" in shown


def test_bodies_in_another_order_than_their_numbers_have_their_own_modules(tmp_path: Path) -> None:
    onnx.save(with_body(), tmp_path / "m.onnx")
    graphml_onnx.encode(tmp_path / "m.onnx", tmp_path / "m.graphml", layout="plain")
    text = (tmp_path / "m.graphml").read_text("utf-8")
    first, second = '"g":{"$graph":0}', '"g":{"$graph":1}'
    assert text.count(first) == text.count(second) == 1
    swapped = text.replace(first, "@").replace(second, first).replace("@", second)
    (tmp_path / "swapped.graphml").write_text(swapped, "utf-8")
    graphml_onnx.decode(tmp_path / "swapped.graphml", tmp_path / "swapped.onnx")

    def modules(path: Path) -> list[list[tuple[str, str]]]:
        with graphml_onnx.open(path) as graph:
            bodies = [body for body in graph.bodies if body.operator is not None]
            return [[(operator.label, operator.module.path) for operator in body.operators] for body in bodies]

    assert modules(tmp_path / "swapped.graphml") == modules(tmp_path / "m.graphml")[::-1]
    assert [[label for label, _ in body] for body in modules(tmp_path / "swapped.onnx")] == [
        [label for label, _ in body] for body in modules(tmp_path / "swapped.graphml")
    ]


def nested(bodies: int, levels: int) -> onnx.ModelProto:
    """Ifs in each other's first branch, each in as many modules."""
    result = helper.make_tensor_value_info("r", TensorProto.FLOAT, None)
    leaf = helper.make_graph([helper.make_node("Relu", ["x"], ["r"])], "leaf", [], [result])
    graph = leaf
    for number in range(bodies, -1, -1):
        scope = "".join(f"/b{number}m{level}" for level in range(levels))
        nodes = [helper.make_node(op_type, ["x"], ["a"], f"{scope}/{op_type}") for op_type in ("Relu", "Neg", "Exp")]
        nodes[1].input[0] = nodes[2].input[0] = "a"
        nodes[1].output[0], nodes[2].output[0] = "b", "d"
        nodes.append(helper.make_node("If", ["c"], ["r"], f"{scope}/If", then_branch=graph, else_branch=leaf))
        graph = helper.make_graph(nodes, f"g{number}", [], [result])
    ends = (("x", TensorProto.FLOAT, [2]), ("c", TensorProto.BOOL, []))
    graph.input.extend(helper.make_tensor_value_info(*end) for end in ends)
    return helper.make_model(graph)


@pytest.mark.parametrize(("bodies", "levels", "deepest"), [(1, 50, 100), (1, 51, 51), (30, 3, 93), (30, 95, 95)])
def test_modules_of_bodies_are_as_deep_as_others_may_be(tmp_path: Path, bodies: int, levels: int, deepest: int) -> None:
    onnx.save(nested(bodies, levels), tmp_path / "m.onnx")
    result = graphml_onnx.encode(tmp_path / "m.onnx", tmp_path / "m.graphml")
    assert [finding.code for finding in result.findings] == (["too-deep"] if deepest == levels else [])
    for path in (tmp_path / "m.onnx", tmp_path / "m.graphml"):
        with graphml_onnx.open(path) as graph:
            modules = [module for module in graph.all_modules() if module is not module.body.root]
            own = {module: sum(m is not m.body.root for m in around(module)) for module in modules}
            assert max(own.values()) == deepest
    graphml_onnx.decode(tmp_path / "m.graphml", tmp_path / "back.onnx")
    assert (tmp_path / "back.onnx").read_bytes() == (tmp_path / "m.onnx").read_bytes()


def around(module: graphml_onnx.Module) -> list[graphml_onnx.Module]:
    """A module and those around it."""
    found = [module]
    while (outer := found[-1].parent) is not None:
        found.append(outer)
    return found


def test_a_graphml_with_very_deep_modules_is_shown(tmp_path: Path) -> None:
    onnx.save(in_function(), tmp_path / "m.onnx")
    graphml_onnx.encode(tmp_path / "m.onnx", tmp_path / "m.graphml", layout="plain", parameters="embedded")
    head, model, rest = (tmp_path / "m.graphml").read_text("utf-8").partition('<graph id="model:"')
    inserted = "".join(
        f'<node id="m{n}"><data key="kind">module</data><data key="node_id">m{n}</data>'
        f'<data key="parent">{f"m{n - 1}" if n else "model"}</data><data key="scope">s{n}</data></node>\n'
        for n in range(3_000)
    )
    opened, _, inner = rest.partition(">\n")
    (tmp_path / "deep.graphml").write_text(f"{head}{model}{opened}>\n{inserted}{inner}", "utf-8")

    with graphml_onnx.open(tmp_path / "deep.graphml") as graph:
        shares = module_shares(graph.root)
        assert [share.depth for share in shares] == [*range(len(shares))]
        assert len(shares) > 2_999
        assert [row.share for row in folded_shares(graph.root)] == shares
        assert graph.root.to_dict()["children"]
    assert "modules below this depth" in in_process(tmp_path, "inspect", str(tmp_path / "deep.graphml")).out
