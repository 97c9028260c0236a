"""Edges of export: nested inputs, modules that change as they run, folded operators, warnings, leftovers."""

from __future__ import annotations

import dataclasses
import json
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import graphml_onnx

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from torch import Tensor, nn  # noqa: E402

TAG = "winml.hierarchy.tag"
EXPORTERS: tuple[Any, ...] = ("dynamo", "torchscript")
X = torch.randn(2, 4)


def exported(model: nn.Module, folder: Path, **options: Any) -> tuple[Any, onnx.ModelProto]:
    result = graphml_onnx.export(model, folder / "model.onnx", overwrite=True, **({"inputs": X} | options))
    return result, onnx.load(result.onnx)


def names(values: Any) -> list[str]:
    return [value.name for value in values]


def tags(graph: onnx.GraphProto, op_type: str) -> list[str]:
    return [
        next(entry.value for entry in node.metadata_props if entry.key == TAG)
        for node in graph.node
        if node.op_type == op_type
    ]


class Nested(nn.Module):
    def forward(self, pair: tuple[Tensor, Tensor], z: Tensor, *, more: dict[str, Tensor]) -> dict[str, Any]:
        return {"logits": pair[0] + pair[1] * z, "states": (more["a"] * 2, z - 1)}


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_nested_inputs_and_outputs_have_names_of_their_own(tmp_path: Path, exporter: Any) -> None:
    given = ((X, torch.randn(4)), X), {"more": {"a": torch.randn(2, 4)}}
    shapes = {name: {"0": "batch"} for name in ("pair_0", "z", "more_a")}
    result, model = exported(Nested(), tmp_path, inputs=given, exporter=exporter, dynamic_shapes=shapes)

    assert names(model.graph.input) == ["pair_0", "pair_1", "z", "more_a"]
    assert names(model.graph.output) == ["logits", "states_0", "states_1"]
    sizes = [value.type.tensor_type.shape.dim[0] for value in model.graph.input]
    assert [size.dim_param or size.dim_value for size in sizes] == ["batch", 4, "batch", "batch"]
    assert result.findings == ()


class Variadic(nn.Module):
    def forward(self, first: Tensor, /, *rest: Tensor, **named: Tensor) -> Tensor:
        return first + rest[0] * rest[1] - named["last"]


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_variadic_inputs_can_be_described(tmp_path: Path, exporter: Any) -> None:
    spec = {"shape": [2, 4], "dtype": "float"}
    specs = dict.fromkeys(("first", "rest_0", "rest_1", "last"), spec)
    _, model = exported(Variadic(), tmp_path, inputs=None, input_specs=specs, exporter=exporter)

    assert names(model.graph.input) == ["first", "rest_0", "rest_1", "last"]


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_dictionary_may_be_the_last_input(tmp_path: Path, exporter: Any) -> None:
    class Last(nn.Module):
        def forward(self, x: Tensor, more: dict[str, Tensor]) -> Tensor:
            return x + more["a"]

    _, model = exported(Last(), tmp_path, inputs=(X, {"a": torch.ones(2, 4)}), exporter=exporter)

    assert names(model.graph.input) == ["x", "more_a"]


@dataclasses.dataclass
class Pair:
    left: Tensor
    right: Tensor


def test_the_fields_of_a_dataclass_name_outputs(tmp_path: Path) -> None:
    class Model(nn.Module):
        def forward(self, x: Tensor) -> Pair:
            return Pair(x + 1, x * 2)

    _, model = exported(Model(), tmp_path, exporter="torchscript")

    assert names(model.graph.output) == ["left", "right"]


def test_a_name_that_another_tensor_has_goes_to_the_output(tmp_path: Path) -> None:
    class Model(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"x": torch.relu(x + 1)}

    _, model = exported(Model(), tmp_path)

    assert names(model.graph.output) == ["x_1"]
    onnx.checker.check_model(model, full_check=True)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_symbols_in_specs_are_dynamic_dimensions(tmp_path: Path, exporter: Any) -> None:
    specs = {"input": {"shape": ["rows", 4], "dtype": "float32"}}
    model = nn.Sequential(nn.Linear(4, 2))
    _, written = exported(model, tmp_path, inputs=None, input_specs=specs, exporter=exporter)

    assert written.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "rows"


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_dynamic_axes_of_renamed_inputs_stay_dynamic(tmp_path: Path, exporter: Any) -> None:
    config = {"input_names": ["data"], "dynamic_axes": {"data": {"0": "rows"}}}
    _, written = exported(nn.Sequential(nn.Linear(4, 2)), tmp_path, exporter=exporter, export_config=config)

    assert names(written.graph.input) == ["data"]
    assert written.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "rows"


def test_a_config_chooses_the_exporter_and_what_has_no_effect_is_named(tmp_path: Path) -> None:
    config = {"dynamo": False, "optimize": True}
    result, _ = exported(nn.Linear(4, 2), tmp_path, export_config=config)

    assert result.record.exporter.name == "torchscript"
    assert any("optimize" in finding for finding in result.findings)


def folded() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2), nn.ReLU())


def test_a_folded_convolution_is_in_its_own_module_and_not_exact(tmp_path: Path) -> None:
    result, model = exported(folded(), tmp_path, inputs=torch.randn(2, 1, 4, 4))

    assert tags(model.graph, "Conv") == ["/Sequential/Conv2d.0"]
    assert result.placements["weight owner"] == 1
    assert result.exact == 50.0


def test_equal_weights_that_the_exporter_merged_count_as_any_of_their_owners(tmp_path: Path) -> None:
    model = nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 4), nn.LayerNorm(4))  # both with ones and zeros
    result, written = exported(model, tmp_path)

    assert tags(written.graph, "LayerNormalization") == ["/Sequential/LayerNorm.0", "/Sequential/LayerNorm.2"]
    assert result.exact == 100.0


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_module_whose_forward_is_called_directly_is_found_by_its_weights(tmp_path: Path, exporter: Any) -> None:
    class Direct(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return torch.relu(self.inner.forward(x))

    result, model = exported(Direct(), tmp_path, exporter=exporter)

    assert tags(model.graph, "Gemm") == ["/Direct/Linear.inner"]
    assert result.placements["scope and weights"] == 1


@pytest.mark.parametrize("opset", [16, 17])
def test_what_operators_tell_survives_a_conversion(tmp_path: Path, opset: int) -> None:
    class Warp(nn.Module):
        def forward(self, x: Tensor, grid: Tensor) -> Tensor:
            return nn.functional.grid_sample(x, grid, align_corners=False)

    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.warp = nn.Conv2d(1, 1, 1), Warp()

        def forward(self, x: Tensor, grid: Tensor) -> Tensor:
            return self.warp(self.conv(x), grid)

    inputs = torch.randn(2, 1, 4, 4), torch.rand(2, 4, 4, 2)
    result, model = exported(Model(), tmp_path, inputs=inputs, opset=opset)

    assert tags(model.graph, "GridSample") == ["/Model/Warp.warp"]
    assert result.exact == 100.0
    assert [entry.version for entry in model.opset_import if not entry.domain] == [opset]


class Restless(nn.Module):
    """Changes everything of itself as it runs."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(1))
        self.seen: list[int] = []
        self.last: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        self.seen.append(1)
        x.add_(torch.rand(1))
        self.last = x
        return x + self.get_buffer("count")


def test_what_a_run_changes_is_undone(tmp_path: Path) -> None:
    model, x, random = Restless(), torch.zeros(2, 4), torch.get_rng_state()
    exported(model, tmp_path, inputs=x, exporter="torchscript")

    assert model.count.item() == 0
    assert model.seen == []
    assert model.last is None
    assert not x.any()
    assert torch.equal(random, torch.get_rng_state())


def test_what_a_run_changes_is_undone_after_a_failure_too(tmp_path: Path) -> None:
    class Failing(Restless):
        def forward(self, x: Tensor) -> Tensor:
            super().forward(x)
            raise ValueError("no")

    model = Failing()
    with pytest.raises(graphml_onnx.ModelError, match="no"):
        exported(model, tmp_path, exporter="torchscript")

    assert (model.count.item(), model.seen, model.last, model.training) == (0, [], None, True)


class Merging(nn.Linear):
    """Merges for evaluation, as LoRA does."""

    def train(self, mode: bool = True) -> Merging:
        if mode != self.training:
            self.weight.data += -1 if mode else 1
        return super().train(mode)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_what_eval_does_is_undone_by_train(tmp_path: Path, exporter: Any) -> None:
    model = nn.Sequential(Merging(4, 4))
    before = model[0].weight.detach().clone()
    exported(model, tmp_path, exporter=exporter)

    assert torch.allclose(model[0].weight, before, atol=1e-6)  # adding and taking away rounds small weights
    assert model[0].training


def test_a_module_that_refuses_eval_is_exported_as_it_stands(tmp_path: Path) -> None:
    program = torch.export.export(nn.Sequential(nn.Linear(4, 4), nn.ReLU()).eval(), (X,))
    with pytest.raises(NotImplementedError):
        program.module().eval()
    _, model = exported(program.module(), tmp_path)

    assert {"Gemm", "Relu"} <= {node.op_type for node in model.graph.node}


def test_a_lazy_module_stays_lazy(tmp_path: Path) -> None:
    model = nn.Sequential(nn.LazyLinear(3))
    exported(model, tmp_path, exporter="torchscript")

    assert isinstance(model[0].weight, nn.parameter.UninitializedParameter)


def test_a_trace_that_depends_on_data_is_a_finding(tmp_path: Path) -> None:
    class Model(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x + 1 if x.sum() > 0 else x * 100

    result, _ = exported(Model(), tmp_path, exporter="torchscript")

    assert any("trace to be incorrect" in finding for finding in result.findings)


@pytest.mark.parametrize("config", [{"hidden": 4}, "tiny", 3])
def test_a_config_may_be_anything(tmp_path: Path, config: object) -> None:
    model = nn.Linear(4, 4)
    model.config = config
    with pytest.raises(graphml_onnx.UsageError, match="config"):
        exported(model, tmp_path, inputs=None)


def test_a_model_that_calls_itself_is_exported(tmp_path: Path) -> None:
    class Recursive(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(4, 4)

        def forward(self, x: Tensor, steps: int = 2) -> Tensor:
            return self(self.inner(x), steps - 1) if steps else self.inner(x)

    _, model = exported(Recursive(), tmp_path, exporter="torchscript")

    assert tags(model.graph, "Gemm") == ["/Recursive/Linear.inner"] * 3


@pytest.mark.parametrize("strict", [False, True])
def test_a_program_gives_the_tree_of_its_module(tmp_path: Path, strict: bool) -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
            self.two = self.one

        def forward(self, x: Tensor) -> Tensor:
            return self.two(self.one(x))

    program = torch.export.export(Twice().eval(), (X,), strict=strict)
    _, model = exported(program, tmp_path, inputs=None)

    assert tags(model.graph, "Tanh") == ["/Twice/Sequential.one/Tanh.1"] * 2
    assert tags(model.graph, "Gemm") == ["/Twice/Sequential.one/Linear.0"] * 2


def test_files_of_an_earlier_export_are_named(tmp_path: Path) -> None:
    exported(nn.Linear(4, 4), tmp_path, exporter="torchscript", with_report=True)
    result, _ = exported(nn.Linear(4, 4), tmp_path, exporter="torchscript")

    assert any("model_htp_export_report.md" in finding for finding in result.findings)


def test_a_foreign_data_file_is_refused_before_the_export(tmp_path: Path) -> None:
    (tmp_path / "model.onnx.data").write_bytes(b"mine")

    with pytest.raises(graphml_onnx.OutputError, match="exists"):
        graphml_onnx.export(nn.Linear(4, 4), tmp_path / "model.onnx", inputs=X)


def test_a_model_that_is_not_valid_is_not_published(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from graphml_onnx.exporting import onnx_output

    read = onnx_output.ModelFile.read

    def broken(*arguments: Any) -> Any:
        file = read(*arguments)
        file.model.graph.node[0].op_type = "NoSuchOperator"
        return file

    monkeypatch.setattr(onnx_output.ModelFile, "read", broken)
    with pytest.raises(graphml_onnx.ModelError, match="NoSuchOperator"):
        exported(nn.Linear(4, 4), tmp_path, exporter="torchscript")
    assert list(tmp_path.iterdir()) == []


@dataclasses.dataclass
class Unknown:
    """One that PyTorch has not been told of."""

    logits: Tensor
    states: tuple[Tensor, Tensor]
    loss: Tensor | None = None


class ReturnsUnknown(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> dict[str, Unknown]:
        hidden = self.layer(x)
        return {"told": Unknown(hidden.sin(), (hidden, x * 2))}


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_dataclass_need_not_be_registered(tmp_path: Path, exporter: Any) -> None:
    module = ReturnsUnknown()
    result, model = exported(module, tmp_path, exporter=exporter)

    assert names(model.graph.output) == ["told_logits", "told_states_0", "told_states_1"]
    assert result.exact == 100
    assert isinstance(module(X)["told"], Unknown)


class ReturnsAll(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> dict[str, Any]:
        return {
            "y": self.layer(x),
            "same": x,
            "again": [x, None],
            "weight": self.layer.weight,
            "number": 3,
            "word": "a",
        }


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_an_input_a_weight_and_plain_values_may_be_returned(tmp_path: Path, exporter: Any) -> None:
    result, model = exported(ReturnsAll(), tmp_path, exporter=exporter, with_graphml=True)
    session = onnxruntime.InferenceSession(str(result.onnx), providers=["CPUExecutionProvider"])

    assert names(model.graph.input) == ["x"]
    assert [name for name in names(model.graph.output) if "weight" not in name] == ["y", "same", "again_0"]
    _, same, again, _ = session.run(None, {"x": X.numpy()})
    assert (same == X.numpy()).all()
    assert (again == X.numpy()).all()


class ReturnsTwice(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        y = x.sin()
        return y, y, {"more": y}


@pytest.mark.parametrize("exporter", EXPORTERS)
@pytest.mark.parametrize("config", [None, {"output_names": ["one", "two", "three"]}])
def test_a_tensor_may_be_returned_twice(tmp_path: Path, exporter: Any, config: Any) -> None:
    result, model = exported(ReturnsTwice(), tmp_path, exporter=exporter, export_config=config, with_graphml=True)
    session = onnxruntime.InferenceSession(str(result.onnx), providers=["CPUExecutionProvider"])

    told = names(model.graph.output)
    assert len(set(told)) == 3
    assert told[2] == "2_more" if config is None else told == config["output_names"] or result.findings
    for value in session.run(None, {"x": X.numpy()}):
        np.testing.assert_allclose(value, X.sin().numpy(), rtol=1e-5)


def test_of_a_part_that_is_compiled_the_remedy_tells(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Linear(4, 4), torch.jit.script(nn.Linear(4, 4)))
    for exporter in EXPORTERS:
        with pytest.raises(graphml_onnx.ModelError) as caught:
            exported(model, tmp_path, exporter=exporter)
        assert "give the module that 1 was compiled from" in str(caught.value.remedy)


class ReturnsNothing(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor | None]:
        x.sin()
        return {"loss": None}


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_model_that_returns_no_tensor_is_refused(tmp_path: Path, exporter: Any) -> None:
    with pytest.raises(graphml_onnx.ModelError, match="no tensor"):
        exported(ReturnsNothing(), tmp_path, exporter=exporter)
    assert not [*tmp_path.iterdir()]


def test_lazy_buffers_stay_lazy(tmp_path: Path) -> None:
    model = nn.Sequential(nn.LazyLinear(3), nn.LazyBatchNorm1d())
    exported(model, tmp_path)

    assert isinstance(model[1].running_mean, nn.UninitializedBuffer)


class Gate(nn.Module):
    """Control flow within control flow."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        def positive(y: Tensor) -> Tensor:
            return torch.cond(y.mean() > 1, lambda z: self.one(z).sin(), lambda z: self.two(z.cos()), (y,))

        return torch.cond(x.sum() > 0, positive, lambda y: self.three(y), (x,))


def test_what_stands_beside_a_layer_in_a_branch_is_in_the_module_that_calls_it(tmp_path: Path) -> None:
    result, _ = exported(nn.Sequential(Gate(), Gate()), tmp_path)

    scopes = [module.scope for module in result.record.modules]
    told = [(operator.op_type, scopes[operator.module]) for operator in result.record.operators if operator.in_body]
    for gate in ("0", "1"):
        inside = [(kind, scope) for kind, scope in told if scope == gate or scope.startswith(f"{gate}.")]
        assert {scope for kind, scope in inside if kind in ("Sin", "Cos", "If", "ReduceMean", "Greater")} == {gate}
        assert [scope for kind, scope in inside if kind == "Gemm"] == [
            f"{gate}.{name}" for name in ("one", "two", "three")
        ]


class Tabled(nn.Module):
    """Holds a tensor that is neither a parameter nor a buffer: exporters write it as a constant."""

    def __init__(self) -> None:
        super().__init__()
        self.table = torch.arange(1024.0).reshape(2, 512)

    def forward(self, x: Tensor) -> Tensor:
        return (x @ self.table).sin() + self.table


class TabledBranches(Tabled):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cond(x.sum() > 0, lambda y: y @ self.table, lambda y: y @ self.table - 1, (x,))


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_large_constant_is_as_valid_as_a_weight(tmp_path: Path, exporter: Any) -> None:
    result, model = exported(Tabled(), tmp_path, inputs=torch.ones(2, 2), exporter=exporter, with_graphml=True)
    onnx.checker.check_model(model, full_check=True)
    assert result.graphml_error is None

    if exporter == "dynamo":
        exported(TabledBranches(), tmp_path, inputs=torch.ones(2, 2))


def test_the_tree_is_told_without_an_export() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Linear(4, 4), nn.Sequential(nn.ReLU())

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)

    modules = graphml_onnx.trace(Model(), inputs=X)

    assert [(module.scope, module.execution_order, module.parent) for module in modules] == [
        ("", 0, None),
        ("used", 1, 0),
        ("unused", None, 0),
        ("unused.0", None, 2),
    ]


def test_the_tables_of_the_report_are_complete(tmp_path: Path) -> None:
    from graphml_onnx.exporting.report import report_document

    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    model.unused = nn.Linear(1, 1)
    model.forward = lambda x: model[1](model[0](x))
    result, written = exported(model, tmp_path, exporter="torchscript", with_report=True)
    tables = json.loads(json.dumps(report_document(result.record)))

    assert [entry["name"] for entry in tables["operators"]] == names(written.graph.node)
    assert tables["modules_that_never_ran"] == [{"scope": "unused", "class_name": "Linear"}]
    assert tables["modules"][0]["operators_in_all"] == result.nodes
    assert "Modules that never ran" in result.report.read_text(encoding="utf-8")


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_an_export_can_be_repeated_from_its_metadata(tmp_path: Path, exporter: Any) -> None:
    specs = {"input": {"shape": ["batch", 4], "dtype": "float32"}}
    options = {"input_specs": specs, "exporter": exporter, "torch_modules": ["Linear"], "seed": 3, "inputs": None}
    first, model = exported(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), tmp_path, **options)
    told = json.loads(first.metadata.read_text(encoding="utf-8"))["export_context"]["options"]

    assert told == {
        "input_specs": specs,
        "exporter": exporter,
        "torch_modules": ["Linear"],
        "seed": 3,
    }
    assert [entry.key for entry in model.metadata_props] == ["winml.io.inputs"]


def test_the_inputs_are_told_in_the_model_with_the_values_of_integers(tmp_path: Path) -> None:
    ids = torch.tensor([[3, 7]])
    _, model = exported(nn.Embedding(9, 2), tmp_path, inputs=ids, exporter="torchscript")
    [entry] = model.metadata_props
    assert json.loads(entry.value) == [
        {"name": "input", "dtype": "int64", "shape": [1, 2], "value_range": [3, 8]},
    ]
    _, clean = exported(nn.Embedding(9, 2), tmp_path, inputs=ids, exporter="torchscript", clean_onnx=True)
    assert not clean.metadata_props


def test_modules_may_be_nested_deeper_than_python_calls(tmp_path: Path) -> None:
    model: nn.Module = nn.Linear(4, 4)
    for _ in range(105):
        model = nn.Sequential(model)
    result, _ = exported(model, tmp_path, with_graphml=True)
    assert (result.modules, result.exact, result.graphml_error) == (106, 100.0, None)


class Pooled(nn.Module):
    """The mean and the norm are reductions whose axes a converter has to know."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.LayerNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(torch.relu(self.conv(x)).mean((2, 3))).var(1)


@pytest.mark.parametrize("form", ["module", "dynamic", "program"])
def test_an_earlier_opset_is_reached_by_way_of_optimisation(tmp_path: Path, form: str) -> None:
    """ONNX's converter cannot read axes that are computed, and leaves an attribute of later opsets."""
    module, x = Pooled().eval(), torch.randn(2, 3, 6, 6)
    model: Any = torch.export.export(module, (x,)) if form == "program" else module
    options: dict[str, Any] = {} if form == "program" else {"inputs": x}
    if form == "dynamic":
        options["dynamic_shapes"] = {"x": {"0": "batch"}}
    result = graphml_onnx.export(model, tmp_path / "model.onnx", opset=17, **options)

    assert onnx.load(result.onnx).opset_import[0].version == 17
    assert result.exact == 100
    session = onnxruntime.InferenceSession(str(result.onnx), providers=["CPUExecutionProvider"])
    assert np.allclose(session.run(None, {"x": x.numpy()})[0], module(x).detach().numpy(), atol=1e-5)


class KeysWithoutName(nn.Module):
    def forward(self, x: Tensor) -> dict[str, Tensor]:
        return {"": x + 1, "a b": x * 2}


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_key_without_a_name_is_no_name(tmp_path: Path, exporter: Any) -> None:
    _, model = exported(KeysWithoutName(), tmp_path, exporter=exporter)

    assert all(names(model.graph.output))
    assert names(model.graph.output)[1] == "a_b"
    assert onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


class Frozen(dict[str, Any]):
    """A dictionary that refuses to change, as the config of a diffusion model does."""

    def clear(self) -> None:
        raise TypeError("frozen")

    def update(self, *_: Any, **__: Any) -> None:
        raise TypeError("frozen")


class Configured(nn.Module):
    def __init__(self, *, changes: bool) -> None:
        super().__init__()
        self.config = Frozen(size=4)
        self.steps: OrderedDict[str, int] = OrderedDict(first=1)
        self.changes = changes

    def forward(self, x: Tensor) -> Tensor:
        if self.changes:
            dict.__setitem__(self.config, "seen", True)
            self.steps["second"] = 2
        return x * self.config["size"]


@pytest.mark.parametrize("changes", [False, True])
@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_container_that_refuses_to_change_is_no_obstacle(tmp_path: Path, exporter: Any, changes: bool) -> None:
    model = Configured(changes=changes)
    exported(model, tmp_path, exporter=exporter)

    assert (dict(model.config), list(model.steps)) == ({"size": 4}, ["first"])
