"""Parts of models: valid models of their own, which compute what they compute in the whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

import graphml_onnx
from tests.cli.g2o_process import run
from tests.graph.models import with_body

# The other fixtures have attributes that onnxruntime refuses.
HTP = sorted((Path(__file__).parents[2] / "fixtures" / "htp").glob("winml-*/model.onnx"))


def values_of_all_tensors(path: Path) -> dict[str, np.ndarray]:
    """What each tensor of the main graph is, for random inputs; the inputs too."""
    model = onnx.load(path)
    random = np.random.default_rng(3)
    session = onnxruntime.InferenceSession(model.SerializeToString(), _options())
    feed = {}
    for value in session.get_inputs():
        shape = [size if isinstance(size, int) else 2 for size in value.shape]
        kind = {"tensor(int64)": np.int64, "tensor(bool)": np.bool_}.get(value.type, np.float32)
        is_float = kind is np.float32
        values = random.standard_normal(shape) if is_float else random.integers(0, 2, shape)
        feed[value.name] = values.astype(kind)
    known = {value.name for value in model.graph.output}
    for node in model.graph.node:
        model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in node.output if name and name not in known)
    session = onnxruntime.InferenceSession(model.SerializeToString(), _options())
    names = [value.name for value in session.get_outputs()]
    return feed | dict(zip(names, session.run(names, feed), strict=True))


def _options() -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    return options


def assert_computes(part: Path, values: dict[str, np.ndarray]) -> None:
    onnx.checker.check_model(str(part), full_check=True)
    session = onnxruntime.InferenceSession(str(part), _options())
    feed = {value.name: values[value.name] for value in session.get_inputs()}
    for value, found in zip(session.get_outputs(), session.run(None, feed), strict=True):
        assert found.tobytes() == values[value.name].tobytes(), value.name


@pytest.mark.parametrize("model", HTP, ids=lambda path: path.parent.name)
def test_every_module_computes_what_it_computes_in_the_whole(model: Path, tmp_path: Path) -> None:
    values = values_of_all_tensors(model)
    count = 0
    for module in graphml_onnx.open(model).root.walk():
        if module.all_operators():
            graphml_onnx.extract(model, tmp_path / "part.onnx", module=module.path, overwrite=True)
            assert_computes(tmp_path / "part.onnx", values)
            count += 1
    assert count > 5


def saved(tmp_path: Path, **options: object) -> Path:
    onnx.save(with_body(), tmp_path / "m.onnx", **options)
    return tmp_path / "m.onnx"


@pytest.mark.parametrize("form", ["onnx", "external", "graphml"])
def test_a_module_with_bodies_takes_what_they_capture(form: str, tmp_path: Path) -> None:
    options = {"save_as_external_data": True, "location": "d", "size_threshold": 0} if form == "external" else {}
    path = saved(tmp_path, **options)
    if form == "graphml":
        graphml_onnx.encode(path, tmp_path / "m.graphml")
        path = tmp_path / "m.graphml"
    (tmp_path / "parts").mkdir()
    part = tmp_path / "parts" / "part.onnx"

    result = graphml_onnx.extract(path, part, operators=["/enc/0/If"])

    assert result.inputs == ("flag", "h")
    assert (result.operators, result.parameters, result.outputs) == (1, 1, ("y",))
    assert (result.data is not None) == (form == "external")
    onnx.checker.check_model(str(part))
    weight = numpy_helper.to_array(onnx.load(part).graph.initializer[0])
    assert weight.tobytes() == np.arange(1024, dtype=np.float32).tobytes()


def test_external_data_stay_where_they_are_in_the_same_folder(tmp_path: Path) -> None:
    path = saved(tmp_path, save_as_external_data=True, location="d", size_threshold=0)

    result = graphml_onnx.extract(path, tmp_path / "part.onnx", operators=["/enc/0/If"])

    assert result.data is None
    assert onnx.load(tmp_path / "part.onnx").graph.initializer[0].name == "enc.0.weight"


def test_functions_that_are_called_come_along_and_no_others(tmp_path: Path) -> None:
    path = saved(tmp_path)

    assert graphml_onnx.extract(path, tmp_path / "a.onnx", module="head").functions == ("Twice",)
    assert graphml_onnx.extract(path, tmp_path / "b.onnx", module="enc").functions == ()


def test_between_tensors(tmp_path: Path) -> None:
    path = saved(tmp_path)

    result = graphml_onnx.extract(path, tmp_path / "p.onnx", inputs=["y"], outputs=["z"])

    assert (result.inputs, result.outputs, result.operators) == (("y",), ("z",), 1)


def test_a_model_of_more_than_two_gigabytes_stays_on_disk(tmp_path: Path) -> None:
    """The weights are a hole in a sparse data file; what is cut out of it is another."""
    rows = 600_000  # of 4 KiB: 2.4 GB
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[1024, rows], data_location=TensorProto.EXTERNAL)
    for key, value in (("location", "d"), ("offset", "0"), ("length", str(rows * 4096))):
        tensor.external_data.add(key=key, value=value)
    with (tmp_path / "d").open("wb") as file:
        file.truncate(rows * 4096)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="/a/MatMul"),
        helper.make_node("Relu", ["h"], ["y"], name="/b/Relu"),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [value("x", TensorProto.FLOAT, [1, 1024])], [value("y", TensorProto.FLOAT, [1, rows])], [tensor]
    )
    onnx.save_model(helper.make_model(graph), tmp_path / "m.onnx")

    graphml_onnx.extract(tmp_path / "m.onnx", tmp_path / "a.onnx", module="a")
    graphml_onnx.extract(tmp_path / "m.onnx", tmp_path / "b.onnx", module="b")

    part = onnx.load(tmp_path / "a.onnx", load_external_data=False)
    assert part.graph.initializer[0].external_data[0].value == "d"
    assert [value.name for value in onnx.load(tmp_path / "b.onnx").graph.input] == ["h"]
    assert [d.dim_value for d in part.graph.output[0].type.tensor_type.shape.dim] == [1, rows]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--module", "enc.9"), 2, "there is no module 'enc.9' (the nearest are 'enc.0'"),
        (("--outputs", "zz"), 2, "there is no tensor 'zz'"),
        ((), 2, "choose either a module"),
        (("--module", "enc", "--ops", "x"), 2, "choose either a module"),
        (("--ops", "/enc/0/Relu/act"), 2, "is in a body"),
        (("--inputs", "z", "--outputs", "y"), 2, "the part would not take 'z'"),
        (("--inputs", "enc.0.weight", "--outputs", "y"), 2, "or it is a weight"),
    ],
)
def test_what_cannot_be_cut_is_told(tmp_path: Path, arguments: tuple[str, ...], code: int, says: str) -> None:
    saved(tmp_path)

    ran = run(tmp_path, "extract", "m.onnx", *arguments, "-o", "part.onnx")

    assert (ran.code, ran.err.count("\n")) == (code, 1)
    assert says in ran.err
    assert not (tmp_path / "part.onnx").exists()


def test_the_command_says_what_the_part_is_and_replaces_nothing(tmp_path: Path) -> None:
    saved(tmp_path)

    first = run(tmp_path, "extract", "m.onnx", "--module", "enc.0", "-o", "part.onnx")
    second = run(tmp_path, "extract", "m.onnx", "--module", "enc.0", "-o", "part.onnx")

    assert (first.code, second.code) == (0, 73)
    assert "inputs      x, flag\noutputs     y\n" in first.out
    assert run(tmp_path, "extract", "m.onnx", "--module", "enc", "-o", "m.onnx", "--force").code == 2


def test_tensors_that_are_named_twice_are_one(tmp_path: Path) -> None:
    result = graphml_onnx.extract(saved(tmp_path), tmp_path / "p.onnx", inputs=["y", "y"], outputs=["t", "t"])

    assert (result.inputs, result.outputs) == (("y",), ("t",))


def test_a_part_gives_inputs_and_weights_out_if_asked(tmp_path: Path) -> None:
    wanted = ["h", "flag", "typed"]
    graphml_onnx.extract(saved(tmp_path), tmp_path / "p.onnx", outputs=wanted)
    part = onnx.load(tmp_path / "p.onnx")

    onnx.checker.check_model(part, full_check=True)
    assert [value.name for value in part.graph.input] == ["x", "flag"]
    assert [value.name for value in part.graph.output] == wanted
    assert [tensor.name for tensor in part.graph.initializer] == ["typed"]


def test_no_operators_are_no_part(tmp_path: Path) -> None:
    with pytest.raises(graphml_onnx.UsageError, match="no operators are chosen"):
        graphml_onnx.extract(saved(tmp_path), tmp_path / "p.onnx", operators=[])


def test_an_input_or_output_of_unknown_shape_is_told(tmp_path: Path) -> None:
    values = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 3]),
        helper.make_tensor_value_info("n", TensorProto.INT64, ["k"]),
        helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
    ]
    nodes = [
        helper.make_node("Reshape", ["x", "n"], ["r"], "reshape"),
        helper.make_node("Relu", ["r"], ["y"], "relu"),
    ]
    onnx.save(helper.make_model(helper.make_graph(nodes, "g", values[:2], values[2:])), tmp_path / "whole.onnx")
    result = graphml_onnx.extract(tmp_path / "whole.onnx", tmp_path / "part.onnx", operators=["relu"])
    assert result.findings == (
        "the shape of input 'r' is not known, and ONNX's checker asks for one",
        "the shape of output 'y' is not known, and ONNX's checker asks for one",
    )
