"""Exports of all architectures of the table, with both exporters: where operators go, and what the files give."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import onnxruntime
import pytest

import graphml_onnx
from graphml_onnx.hierarchy import Module, read_metadata

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("transformers")

from graphml_onnx.exporting.backends.state import evaluating  # noqa: E402
from tests.export.architectures import ARCHITECTURES  # noqa: E402

if TYPE_CHECKING:
    from graphml_onnx.exporting.record import ExporterName

EXPORTERS: tuple[ExporterName, ...] = ("dynamo", "torchscript")
NAMES = [
    pytest.param(name, marks=() if architecture.fast else pytest.mark.slow)
    for name, architecture in ARCHITECTURES.items()
]
TAG = "winml.hierarchy.tag"
MANY = 12
"""Tokens are below this; all vocabularies of the table are larger."""


@dataclass(frozen=True)
class Made:
    """An export, with the module that it was made of."""

    result: graphml_onnx.ExportResult
    module: Any

    @property
    def model(self) -> onnx.ModelProto:
        return onnx.load(self.result.onnx)

    @property
    def modules(self) -> tuple[Module, ...]:
        return read_metadata(self.result.metadata.read_bytes(), None).modules

    @property
    def nodes(self) -> dict[str, str]:
        """The tag of each operator of the main graph."""
        nodes: dict[str, str] = json.loads(self.result.metadata.read_text(encoding="utf-8"))["nodes"]
        return nodes


class Exports:
    """What could be exported of an architecture, by exporter, and the errors of the others."""

    def __init__(self, name: str, folder: Path) -> None:
        self.architecture = ARCHITECTURES[name]
        if self.architecture.package is not None and find_spec(self.architecture.package) is None:
            pytest.skip(f"{self.architecture.package} is not installed")
        self.made: dict[ExporterName, Made] = {}
        self.refusals: dict[ExporterName, graphml_onnx.GraphmlOnnxError] = {}
        for exporter in EXPORTERS:
            module, inputs = self.architecture.build()
            (folder / exporter).mkdir()
            try:
                result = graphml_onnx.export(
                    module, folder / exporter / "model.onnx", inputs=inputs, exporter=exporter, with_graphml=True
                )
            except graphml_onnx.GraphmlOnnxError as error:
                self.refusals[exporter] = error
            else:
                self.made[exporter] = Made(result, module)


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    """Models are tiny, and machines are shared."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module", params=NAMES)
def exports(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Exports:
    return Exports(request.param, tmp_path_factory.mktemp(request.param))


def random_inputs(graph: onnx.GraphProto, seed: int) -> dict[str, np.ndarray[Any, Any]]:
    """Other inputs than the example from which a model was exported."""
    random = np.random.default_rng(seed)
    feed: dict[str, np.ndarray[Any, Any]] = {}
    for value in graph.input:
        shape = [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]
        if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT:
            feed[value.name] = random.standard_normal(shape).astype(np.float32)
        elif "mask" in value.name:
            feed[value.name] = np.ones(shape, np.int64)
        else:
            feed[value.name] = random.integers(0, 2 if "type" in value.name else MANY, shape)
    return feed


def feeds(graph: onnx.GraphProto) -> Iterator[dict[str, np.ndarray[Any, Any]]]:
    """Inputs, and the same with the other sign: control flow of the table goes by the sign."""
    for seed in (1, 2):
        feed = random_inputs(graph, seed)
        yield feed
        yield {name: -value if value.dtype == np.float32 else value for name, value in feed.items()}


def tensors_of(module: Any, feed: dict[str, np.ndarray[Any, Any]]) -> list[np.ndarray[Any, Any]]:
    """What PyTorch gives."""
    with evaluating(module), torch.no_grad():
        output = module(**{name: torch.from_numpy(value) for name, value in feed.items()})
    leaves = torch.utils._pytree.tree_leaves(output.to_tuple() if hasattr(output, "to_tuple") else output)
    return [leaf.numpy() for leaf in leaves if isinstance(leaf, torch.Tensor)]


def test_an_exporter_exports_it_or_its_error_is_the_one_that_is_known(exports: Exports) -> None:
    assert exports.made.keys() == exports.architecture.exact.keys()
    assert exports.refusals.keys() == exports.architecture.refusals.keys()
    assert exports.made.keys() | exports.refusals.keys() == set(EXPORTERS)
    for exporter, error in exports.refusals.items():
        assert isinstance(error, graphml_onnx.ModelError)
        assert exports.architecture.refusals[exporter] in str(error)
        assert "\n" not in str(error)


def test_every_operator_has_the_tag_of_a_module_of_the_tree(exports: Exports) -> None:
    for made in exports.made.values():
        tags = {
            node.name: [entry.value for entry in node.metadata_props if entry.key == TAG]
            for node in made.model.graph.node
        }
        assert tags == {name: [tag] for name, tag in made.nodes.items()}
        assert set(made.nodes.values()) <= {module.tag for module in made.modules}
        assert len(tags) == sum(not operator.in_body for operator in made.result.record.operators) > 0


def test_operators_are_in_the_very_module_that_ran_them(exports: Exports) -> None:
    for exporter, made in exports.made.items():
        placements = made.result.placements
        folded = placements.get("weight owner", 0)  # a convolution with its normalisation in it: the next test looks
        exact = made.result.exact + 100 * folded / sum(placements.values())
        assert exact >= exports.architecture.exact[exporter] - 1e-9, placements
        assert "root" not in made.result.placements


def test_an_operator_with_a_weight_is_in_the_module_of_the_weight_or_around_it(exports: Exports) -> None:
    """A measure beside what the exporters tell; the weights of a folded normalisation are in the layer before it."""
    for made in exports.made.values():
        owners = owners_of_weights(made.module)
        module_at = {module.tag: module for module in made.modules}
        for node in made.model.graph.node:
            module = module_at[made.nodes[node.name]]
            told = [owners[name] for name in node.input if name in owners]
            if told and not module.class_name.startswith("BatchNorm"):
                scope = without_parametrization(module.scope)
                assert any(is_around(scope, without_parametrization(owner)) for owner in set().union(*told)), node.name


def owners_of_weights(module: Any) -> dict[str, set[str]]:
    """For the name of each weight the modules that have it; several, where it is shared."""
    names: dict[int, list[str]] = defaultdict(list)
    for name, weight in module.state_dict(keep_vars=True).items():
        names[weight.data_ptr()].append(name)
    return {name: {same.rpartition(".")[0] for same in alike} for alike in names.values() for name in alike}


def without_parametrization(scope: str) -> str:
    """The module whose weight a parametrization makes: the weights of that are in the list of all around it."""
    return f".{scope}".partition(".parametrizations.")[0].removeprefix(".")


def is_around(scope: str, other: str) -> bool:
    return not scope or f"{other}.".startswith(f"{scope}.")


def test_the_tree_is_the_same_whichever_exporter(exports: Exports) -> None:
    trees = [made.modules for made in exports.made.values()]
    assert all(tree == trees[0] for tree in trees)


def test_onnxruntime_gives_what_pytorch_gives(exports: Exports) -> None:
    for made in exports.made.values():
        session = onnxruntime.InferenceSession(str(made.result.onnx), providers=["CPUExecutionProvider"])
        firsts = []
        for feed in feeds(made.model.graph):
            expected = tensors_of(made.module, feed)
            got = session.run(None, feed)
            assert len(got) == len(expected)
            for ours, theirs in zip(got, expected, strict=True):
                most = max(1.0, float(np.abs(theirs).max()))
                np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-5 * most)
            firsts.append(got[0])
        assert not np.allclose(firsts[0], firsts[2], rtol=1e-3, atol=1e-5)  # the inputs make a difference


def test_the_graphml_is_verified_to_the_byte(exports: Exports) -> None:
    for made in exports.made.values():
        assert made.result.graphml_error is None
        graph = made.result.graphml
        assert graph is not None
        below_root = [tag for tag in made.nodes.values() if tag != made.modules[0].tag]
        assert graph.hierarchy_source == "metadata"
        told = 100 * len(below_root) / len(made.nodes)
        if "parameter" in graph.placements:  # they told of a module more, in BART
            assert graph.modules >= len(made.modules)
            assert graph.coverages["main"] >= told - 1e-9
        else:
            assert graph.modules == len(made.modules)
            assert graph.coverages["main"] == pytest.approx(told)
        assert graphml_onnx.verify(made.result.onnx, metadata=made.result.metadata).passed


def test_of_a_layer_that_runs_three_times_there_is_one_module_with_all_its_operators(tmp_path: Path) -> None:
    made = Exports("shared", tmp_path).made["dynamo"]

    layer = next(module.tag for module in made.modules if module.scope == "layer")
    norms = [node for node in made.model.graph.node if node.op_type == "LayerNormalization"]
    tags = [made.nodes[node.name].rpartition(".")[2] for node in norms]
    assert [module.scope for module in made.modules].count("layer") == 1
    assert tags == ["norm", *["norm1", "norm2"] * 3, "norm"]
    assert all(made.nodes[node.name].startswith(f"{layer}/") for node in norms[1:-1])
    assert [list(value.dims) for value in made.model.graph.initializer].count([32, 16]) == 1  # one weight, two modules


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_attention_of_torch_is_exported_as_its_modules(tmp_path: Path, exporter: Any) -> None:
    """In inference torch fuses it, without calling the modules in it, into what ONNX has no operator for."""
    layer = torch.nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    earlier = torch.backends.mha.get_fastpath_enabled()

    result = graphml_onnx.export(layer, tmp_path / "model.onnx", inputs=torch.randn(2, 3, 8), exporter=exporter)

    scopes = {module.scope for module in Made(result, layer).modules}
    assert {"self_attn", "linear1", "linear2", "norm1", "norm2"} <= scopes
    assert torch.backends.mha.get_fastpath_enabled() == earlier


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_compiled_module_is_refused_with_a_remedy(tmp_path: Path, exporter: Any) -> None:
    compiled = torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2))

    with pytest.raises(graphml_onnx.UsageError, match="compiled from"):
        graphml_onnx.export(compiled, tmp_path / "model.onnx", inputs=torch.ones(1, 2), exporter=exporter)
