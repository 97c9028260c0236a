"""What `g2o inspect` says of a model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import FunctionProto, NodeProto, TensorProto, helper, numpy_helper

import graphml_onnx
from benchmarks import graphs
from graphml_onnx.errors import ModelError
from graphml_onnx.graph.inspection import module_shares, operator_shares, parameter_statistics
from graphml_onnx.graph.macs import macs_of
from graphml_onnx.graph.statistics import histogram_of
from tests.cli.g2o_process import run
from tests.common.command import in_process
from tests.graph.models import with_body

FIXTURES = Path(__file__).parents[2] / "fixtures"
BERT = FIXTURES / "htp" / "winml-bert-mini-dynamo" / "model.onnx"
OPSETS = [helper.make_opsetid("", 17), helper.make_opsetid("of.mine", 1)]


def test_modules_and_operators_have_the_same_sums() -> None:
    graph = graphml_onnx.open(BERT, infer_shapes=True)
    whole = module_shares(graph.root)[0]
    types = operator_shares(graph.root)

    assert whole.operators == len(graph.operators) == sum(share.operators for share in types)
    assert whole.nbytes == sum(p.nbytes for p in graph.parameters) == sum(share.nbytes for share in types)
    assert whole.parameters == sum(tensor.size for tensor in graph.parameters)
    assert whole.macs == sum(share.macs for share in types) > 0
    assert whole.unknown_macs == 0


def test_bodies_count_in_the_module_of_their_operator() -> None:
    graph = graphml_onnx.open(with_body(), infer_shapes=True, sizes={"batch": 3})
    shares = {share.name: share for share in module_shares(graph.root)}

    assert shares["enc.0"].operators == 6
    assert shares["enc.0"].macs == 2 * 3 * 32 * 32


@pytest.mark.parametrize(
    ("op_type", "shapes", "attributes", "macs"),
    [
        ("MatMul", [[2, 3, 4], [2, 4, 5]], {}, 2 * 3 * 4 * 5),
        ("Gemm", [[4, 3], [4, 5]], {"transA": 1}, 3 * 4 * 5),
        ("Conv", [[1, 4, 8, 8], [6, 2, 3, 3]], {"group": 2}, 6 * 6 * 6 * 2 * 9),
        ("ConvTranspose", [[1, 4, 5, 5], [4, 6, 2, 2]], {}, 4 * 25 * 6 * 4),
        ("LSTM", [[7, 2, 3], [1, 16, 3], [1, 16, 4]], {"hidden_size": 4}, 7 * 2 * 4 * 4 * (3 + 4)),
        ("Einsum", [[2, 3, 4], [2, 4, 5]], {"equation": "bij, bjk -> bik"}, 2 * 3 * 4 * 5),
        ("Einsum", [[2, 3, 3]], {"equation": "bii->bi"}, 0),
        ("Einsum", [[2, 3], [3, 4]], {"equation": "...i,ij->...j"}, None),
        ("DeformConv", [[1, 4, 8, 8], [6, 4, 3, 3], [1, 18, 6, 6]], {}, 6 * 6 * 6 * 4 * 9),
        ("ai.onnx.ml::LinearClassifier", [[5, 3]], {"coefficients": [0.5] * 12}, 5 * 12),
        ("ai.onnx.ml::SVMRegressor", [[5, 3]], {}, None),
        ("ai.onnx.ml::Normalizer", [[5, 3]], {}, 0),
        ("com.microsoft::QAttention", [[1, 2, 3]], {}, None),
        ("com.microsoft::SkipLayerNormalization", [[1, 2, 3]], {}, 0),
        ("of.somebody::MatMul", [[2, 3], [3, 4]], {}, None),
        ("of.somebody::Transcribe", [[2]], {}, None),
        ("Relu", [[4]], {}, 0),
    ],
)
def test_macs(
    op_type: str, shapes: list[list[int]], attributes: dict[str, int | str | list[float]], macs: int | None
) -> None:
    names = [f"x{index}" for index in range(len(shapes))]
    domain, _, op_type = op_type.rpartition("::")
    node = helper.make_node(op_type, names, ["y"], domain=domain, **attributes)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in zip(names, shapes, strict=True)
    ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    model = helper.make_model(helper.make_graph([node], "g", inputs, [output]))

    assert macs_of(graphml_onnx.open(model, infer_shapes=True).operators[0]) == macs


def test_calls_of_functions_that_multiply_are_unknown() -> None:
    def function(name: str, *nodes: NodeProto) -> FunctionProto:
        return helper.make_function("of.mine", name, ["x"], ["y"], [*nodes], OPSETS)

    def call(name: str) -> NodeProto:
        return helper.make_node(name, ["x"], ["y"], domain="of.mine")

    functions = [
        function("Outer", call("Inner")),
        function("Inner", helper.make_node("Tanh", ["x"], ["t"]), helper.make_node("MatMul", ["t", "t"], ["y"])),
        function("Quiet", helper.make_node("Tanh", ["x"], ["y"])),
        function("Around", call("Around")),
    ]
    sides = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 2])] for name in "xy"]
    graph = helper.make_graph([call(f.name) for f in functions], "g", *sides)
    opened = graphml_onnx.open(helper.make_model(graph, functions=functions, opset_imports=OPSETS))
    assert [macs_of(operator) for operator in opened.operators] == [None, None, 0, 0]


def test_a_dynamic_dimension_leaves_macs_unknown_until_it_has_a_size() -> None:
    assert module_shares(graphml_onnx.open(with_body(), infer_shapes=True).root)[0].unknown_macs == 2
    assert module_shares(graphml_onnx.open(with_body(), sizes={"batch": 3}).root)[0].unknown_macs == 0


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int8, np.int64, np.bool_])
@pytest.mark.parametrize("window", [24, 1 << 20])
def test_statistics_are_those_of_numpy(dtype: type, window: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphml_onnx.graph.weights.WINDOW", window)
    values = (np.random.default_rng(1).standard_normal(1000) * 20).astype(dtype)
    values[5] = 0
    is_float = np.issubdtype(dtype, np.floating)
    if is_float:
        values[7], values[9] = np.nan, np.inf
    graph = helper.make_graph([], "g", [], [], [numpy_helper.from_array(values, "w")])
    found = parameter_statistics(graphml_onnx.open(helper.make_model(graph)).parameters[0])

    finite = values[np.isfinite(values)].astype(np.float64)
    assert (found.count, found.zeros, found.nan) == (1000, int((values == 0).sum()), int(is_float))
    assert (found.min, found.max) == (finite.min(), np.inf if is_float else finite.max())
    assert found.mean == pytest.approx(finite.mean())
    assert found.std == pytest.approx(finite.std())
    assert found.infinite == int(is_float)


def damaged() -> onnx.ModelProto:
    """Four weights: one is sound, one has too few bytes, one too many, and one has data that are not there."""
    weights = [
        numpy_helper.from_array(np.full((2, 3), 2, np.float32), "enc.0.w"),
        TensorProto(name="enc.1.short", data_type=TensorProto.FLOAT, dims=[2, 3], raw_data=bytes(22)),
        TensorProto(name="enc.2.long", data_type=TensorProto.FLOAT, dims=[2, 3], raw_data=bytes(400)),
        TensorProto(name="enc.3.gone", data_type=TensorProto.FLOAT, dims=[2, 3], data_location=TensorProto.EXTERNAL),
    ]
    entry = weights[3].external_data.add()
    entry.key, entry.value = "location", "gone.bin"
    names = ["x", "a", "b", "c", "y"]
    nodes = [
        helper.make_node("Add", [names[i], weight.name], [names[i + 1]], f"/enc/{i}/Add")
        for i, weight in enumerate(weights)
    ]
    sides = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, [2, 3])] for name in "xy"]
    return helper.make_model(helper.make_graph(nodes, "g", *sides, weights))


def test_weights_that_cannot_be_read_are_told_and_the_others_shown(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(damaged().SerializeToString())

    ran = run(tmp_path, "inspect", "m.onnx", "--by", "parameter", "--stats")

    rows = {line.split()[0]: line.split()[-6:] for line in ran.out.splitlines() if line.startswith("enc.")}
    assert rows["enc.0.w"] == ["2", "2", "2", "0", "0", "0"]
    assert all(rows[name] == ["?"] * 6 for name in ("enc.1.short", "enc.2.long", "enc.3.gone"))
    assert ran.code == 65
    said = ran.err.splitlines()
    assert len(said) == 3
    assert "m.onnx: tensor 'enc.1.short' has 22 bytes, and FLOAT[2, 3] takes 24" in said[0]
    assert "m.onnx: tensor 'enc.2.long' has 400 bytes" in said[1]
    assert "gone.bin: external data of tensor 'enc.3.gone' of m.onnx: no such file" in said[2]


def test_a_module_has_statistics_if_all_its_weights_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(damaged().SerializeToString())

    ran = run(tmp_path, "inspect", "m.onnx", "--stats", "--json")

    document = json.loads(ran.out)
    means = {share["name"]: share.get("statistics", {}).get("mean") for share in document["modules"]}
    assert means == {"": None, "enc": None, "enc.0": 2.0, "enc.1": None, "enc.2": None, "enc.3": None}
    assert [entry["parameter"] for entry in document["unread"]] == ["enc.1.short", "enc.2.long", "enc.3.gone"]
    assert (ran.code, document["error"]["category"]) == (65, "bad_data")
    with graphml_onnx.open(tmp_path / "m.onnx") as graph, pytest.raises(ModelError, match="has 22 bytes"):
        module_shares(graph.root, statistics=True)


def test_many_weights_that_cannot_be_read_are_counted(tmp_path: Path) -> None:
    model = damaged()
    for i in range(40):
        model.graph.initializer.add().CopyFrom(model.graph.initializer[1])
        model.graph.initializer[-1].name = f"enc.1.w{i}"
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())

    ran = run(tmp_path, "inspect", "m.onnx", "--stats")

    assert ran.err.splitlines()[-1] == "g2o: 33 more weights cannot be read; --json names all"
    assert len(ran.err.splitlines()) == 11


def test_statistics_of_modules_are_those_of_all_their_weights() -> None:
    with graphml_onnx.open(BERT) as graph:
        shares = {share.name: share.statistics for share in module_shares(graph.root, statistics=True)}
        for module in graph.root.walk():
            values = [p.numpy().astype(np.float64).reshape(-1) for p in module.all_parameters()]
            found = shares[module.path]
            assert found is not None
            if not values:
                assert found.count == 0
                continue
            joined = np.concatenate(values)
            assert (found.count, found.min, found.max) == (joined.size, joined.min(), joined.max())
            assert found.mean == pytest.approx(joined.mean())
            assert found.std == pytest.approx(joined.std())


def test_a_type_that_this_onnx_does_not_know_has_bytes_and_no_statistics(tmp_path: Path) -> None:
    model = damaged()
    model.graph.initializer[1].data_type = 99
    del model.graph.initializer[2:], model.graph.node[2:]
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())

    ran = run(tmp_path, "inspect", "m.onnx", "--by", "parameter", "--stats")

    assert ran.code == 0
    row = next(line for line in ran.out.splitlines() if line.startswith("enc.1.short"))
    assert row.split()[-9:] == ["6", "22", "bytes", *"------"]
    with graphml_onnx.open(tmp_path / "m.onnx") as graph, pytest.raises(ModelError, match="has no such element type"):
        graph.parameter("enc.1.short").numpy()


def test_the_command_shows_a_tree(tmp_path: Path) -> None:
    ran = run(tmp_path, "inspect", BERT, "--depth", "1")

    assert (ran.code, ran.err) == (0, "")
    rows = [line.split() for line in ran.out.splitlines()]
    assert ["BertModel", "92", "21,412", "85.9", "kB", "100.0", "%", "591.87", "k"] in rows
    assert any(line.startswith("  encoder (BertEncoder)  ") for line in ran.out.splitlines())


def test_json_has_the_same_facts(tmp_path: Path) -> None:
    ran = run(tmp_path, "inspect", BERT, "--json", "--stats", "--module", "encoder.layer.1", "--depth", "0")
    document = json.loads(ran.out)

    (share,) = document["modules"]
    assert (share["name"], share["class_name"], share["operators"]) == ("encoder.layer.1", "BertLayer", 40)
    assert share["statistics"]["count"] == share["parameters"]
    assert document["error"] is None


def test_each_operator_says_what_placed_it(tmp_path: Path) -> None:
    ran = run(tmp_path, "inspect", BERT, "--json", "--by", "place", "--module", "embeddings.LayerNorm")

    assert json.loads(ran.out)["places"] == [
        {
            "operator": "node_layer_norm",
            "op_type": "LayerNormalization",
            "body": "",
            "module": "embeddings.LayerNorm",
            "module_source": "tags",
            "placed_by": "tag",
            "parameters": ["embeddings.LayerNorm.weight", "embeddings.LayerNorm.bias"],
        }
    ]


def test_a_graphml_file_knows_the_sources_of_its_modules(tmp_path: Path) -> None:
    graphml_onnx.encode(BERT, tmp_path / "m.graphml")
    with graphml_onnx.open(tmp_path / "m.graphml") as graph:
        assert {module.source for module in graph.modules} == {"tags"}
        assert {operator.placed_by for operator in graph.operators} == {None}


@pytest.mark.parametrize("by", ["module", "op", "place", "tensor", "parameter"])
def test_every_table_has_a_row_for_each(tmp_path: Path, by: str) -> None:
    onnx.save(with_body(), tmp_path / "m.onnx")

    ran = run(tmp_path, "inspect", "m.onnx", "--by", by)

    assert ran.code == 0
    rows = {"module": "enc", "op": "LeakyRelu", "place": "/enc/0/act", "tensor": "h", "parameter": "enc.0.weight"}
    assert any(line.strip().startswith(rows[by]) for line in ran.out.splitlines())


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("m.onnx", "--module", "enc.7"), 2, "there is no module 'enc.7' (the nearest are 'enc.0'"),
        (("m.onnx", "--dim", "batch"), 2, "--dim 'batch' is not NAME=N"),
        (("m.onnx", "--by", "op", "--stats"), 2, "--stats has no meaning"),
        (("none.onnx",), 66, "no such file"),
        (("text.onnx",), 65, "is not an ONNX model"),
    ],
)
def test_what_goes_wrong_is_one_line(tmp_path: Path, arguments: tuple[str, ...], code: int, says: str) -> None:
    onnx.save(with_body(), tmp_path / "m.onnx")
    (tmp_path / "text.onnx").write_text("This is no model.")

    ran = run(tmp_path, "inspect", *arguments)

    assert ran.code == code
    assert says in ran.err
    assert ran.err.count("\n") == 1


def test_bodies_too_deep_for_shape_inference_are_shown_without_its_shapes(tmp_path: Path) -> None:
    model = graphs.bodies(tmp_path / "deep.onnx", 448)  # in 32 levels, which ONNX's inference cannot give back
    with graphml_onnx.open(model, infer_shapes=True) as graph:
        assert len([*graph.all_operators()]) == 448
        assert None in [tensor.type for body in graph.bodies for tensor in body.tensors.values()]
        assert any("shapes could not be inferred" in finding for finding in graph.findings)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 1.0, 1.5, 4.0], [1, 2, 0, 1]),
        ([7.0, 7.0], [0, 0, 2, 0]),
        ([np.finfo(np.float64).min, 0.0, np.finfo(np.float64).max], [1, 0, 1, 1]),
        ([2.0**62, 2.0**62 + 1024], [1, 0, 0, 1]),  # as far apart as two neighbours
        ([0.0, 5e-324], [1, 0, 0, 1]),
        ([np.nan, np.inf, 1.0, 2.0], [1, 0, 0, 1]),
    ],
)
def test_a_histogram_counts_every_finite_element(values: list[float], expected: list[int]) -> None:
    tensor = numpy_helper.from_array(np.array(values), "w")
    graph = helper.make_graph([helper.make_node("Neg", ["w"], ["y"])], "g", [], [], [tensor])
    finite = [value for value in values if np.isfinite(value)]
    with graphml_onnx.open(helper.make_model(graph)) as opened:
        counts = histogram_of(opened.parameter("w").data, min(finite), max(finite), 4)
    assert sum(counts) == len(finite)
    if max(finite) > 1e-300:  # below, half of the range is no number
        assert counts == expected


def test_a_module_without_a_class_shows_its_name_alone(tmp_path: Path) -> None:
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [4, 4]) for name in "xy")
    nodes = [
        helper.make_node("MatMul", ["x", "encoder.größe.weight"], ["h"], "/encoder/größe/MatMul"),
        helper.make_node("Relu", ["h"], ["y"], "/encoder/act/Relu"),
    ]
    weight = numpy_helper.from_array(np.ones((4, 4), np.float32), "encoder.größe.weight")
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", [x], [y], [weight])), tmp_path / "model.onnx")
    ran = in_process(tmp_path, "inspect", "model.onnx", "--depth", "3")
    assert ran.code == 0
    assert "encoder" in ran.out
    assert "größe" in ran.out
    assert "()" not in ran.out
    assert "None" not in ran.out


def test_a_dimension_of_minus_one_is_not_known(tmp_path: Path) -> None:
    nodes = [helper.make_node("MatMul", ["x", "x"], ["y"])]
    sides = [[helper.make_tensor_value_info(side, TensorProto.FLOAT, [-1, -1])] for side in "xy"]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", *sides)), tmp_path / "model.onnx")
    with graphml_onnx.open(tmp_path / "model.onnx") as graph:
        (share,) = module_shares(graph.root)
    assert (share.macs, share.unknown_macs) == (0, 1)
