"""Models of many weights, written as streams: no tensor is ever held as a whole.

``python -m benchmarks.models KIND PATH [NUMBER]`` writes one of them.
"""

from __future__ import annotations

import shutil
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np
import onnx
from onnx import TensorProto, helper

from benchmarks import graphs
from benchmarks.wire import head, model_around

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

VOCABULARY, POSITIONS, HIDDEN, INNER, HEADS = 30_522, 512, 768, 3_072, 12
_CHUNK = 1 << 20  # elements
_OPSET = helper.make_opsetid("", 20)


@dataclass(frozen=True, slots=True)
class Weight:
    """A float initializer; ``sparse`` ones are zeros that take no space on disk."""

    name: str
    shape: tuple[int, ...]
    sparse: bool = False

    @property
    def size(self) -> int:
        """In bytes."""
        return 4 * int(np.prod(self.shape, dtype=np.int64))


def bert_base(path: Path, layers: int = 12, vocabulary: int = VOCABULARY, seed: int = 0) -> Path:
    """An encoder of the size of BERT-base with random weights: 438 MB with 12 layers, 28 MB less with one less."""
    nodes, weights = _bert(layers, vocabulary)
    ids = helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["batch", "sequence"])
    output = helper.make_tensor_value_info("pooled", TensorProto.FLOAT, ["batch", HIDDEN])
    constants = [
        helper.make_tensor("split_heads", TensorProto.INT64, [4], [0, 0, HEADS, HIDDEN // HEADS]),
        helper.make_tensor("join_heads", TensorProto.INT64, [3], [0, 0, HIDDEN]),
        helper.make_tensor("first", TensorProto.INT64, [], [0]),
        helper.make_tensor("one", TensorProto.INT64, [], [1]),
        helper.make_tensor("scale", TensorProto.FLOAT, [], [(HIDDEN // HEADS) ** 0.5]),
    ]
    graph = helper.make_graph(nodes, "bert", [ids], [output], initializer=constants)
    _write(path, graph, weights, seed)
    return path


def external_sparse(path: Path, gigabytes: float = 2.5, files: int = 2) -> Path:
    """A model whose data files hold ``gigabytes`` (of 2**30 bytes) in total, all of them zeros that take no space."""
    per_tensor = 1 << 26  # elements, 256 MiB
    count = max(files, round(gigabytes * (1 << 30) / (4 * per_tensor)))
    graph = helper.make_graph([], "external", [], [])
    sizes = [0] * files
    for index in range(count):
        tensor = graph.initializer.add(name=f"w{index}", data_type=TensorProto.FLOAT, dims=[per_tensor])
        tensor.data_location = TensorProto.EXTERNAL
        file = index % files
        entries = {"location": f"weights/{file}.bin", "offset": sizes[file], "length": 4 * per_tensor}
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=str(value))
        sizes[file] += 4 * per_tensor
    folder = path.parent / "weights"
    folder.mkdir(exist_ok=True)
    for file, size in enumerate(sizes):
        with (folder / f"{file}.bin").open("wb") as data:
            data.truncate(size)
    model = helper.make_model(graph, opset_imports=[_OPSET], ir_version=10, producer_name="graphml-onnx benchmarks")
    path.write_bytes(model.SerializeToString())
    return path


def internal_sparse(path: Path, gigabytes: float = 2.5) -> Path:
    """One file of more than protobuf reads, nearly all of it zeros that take no space."""
    count = max(1, round(gigabytes * 4))
    weights = [Weight(f"w{index}", (1 << 26,), sparse=True) for index in range(count)]
    _write(path, helper.make_graph([], "internal", [], []), weights, 0)
    return path


def onnx_test_suite(folder: Path, *, everything: bool) -> Path:
    """Fills a new folder with the models of onnx's own test suite.

    Args:
        folder: where they go.
        everything: whether all of them, also the many that the suite makes when it runs; or a few.
    """
    from onnx.backend.test import loader as onnx_loader  # slow to import

    folder.mkdir()
    for path in Path(onnx_loader.DATA_DIR).rglob("*.onnx" if everything else "simple/*/*.onnx"):
        name = "-".join(path.relative_to(onnx_loader.DATA_DIR).with_suffix("").parts)
        shutil.copyfile(path, folder / f"{name}.onnx")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the suite divides by zero on purpose
        cases = onnx_loader.load_model_tests(kind="node") if everything else []
    for case in cases:
        if case.model is not None:
            (folder / f"node-{case.name}.onnx").write_bytes(case.model.SerializeToString())
    return folder


def _bert(layers: int, vocabulary: int) -> tuple[list[onnx.NodeProto], list[Weight]]:
    nodes: list[onnx.NodeProto] = []
    weights: list[Weight] = []

    def weight(name: str, *shape: int) -> str:
        weights.append(Weight(name, shape))
        return name

    def add(scope: str, operator: str, inputs: Sequence[str], **attributes: int | list[int]) -> str:
        output = f"{scope}/{operator}_output_0"
        nodes.append(helper.make_node(operator, inputs, [output], name=f"{scope}/{operator}", **attributes))  # type: ignore[arg-type]
        return output

    def linear(scope: str, value: str, wide: int, narrow: int) -> str:
        name = scope.strip("/").replace("/", ".")
        product = add(scope, "MatMul", [value, weight(f"{name}.weight", wide, narrow)])
        return add(scope, "Add", [product, weight(f"{name}.bias", narrow)])

    def norm(scope: str, value: str) -> str:
        name = scope.strip("/").replace("/", ".")
        inputs = [value, weight(f"{name}.weight", HIDDEN), weight(f"{name}.bias", HIDDEN)]
        return add(scope, "LayerNormalization", inputs, axis=-1)

    def heads(scope: str, value: str, order: list[int]) -> str:
        split = add(scope, "Reshape", [linear(scope, value, HIDDEN, HIDDEN), "split_heads"])
        return add(scope, "Transpose", [split], perm=order)

    words = add(
        "/embeddings/words", "Gather", [weight("embeddings.words.weight", vocabulary, HIDDEN), "input_ids"], axis=0
    )
    shape = add("/embeddings", "Shape", ["input_ids"])
    length = add("/embeddings", "Gather", [shape, "one"], axis=0)
    positions = add("/embeddings", "Range", ["first", length, "one"])
    table = weight("embeddings.positions.weight", POSITIONS, HIDDEN)
    placed = add("/embeddings/positions", "Gather", [table, positions], axis=0)
    value = norm("/embeddings/norm", add("/embeddings", "Add", [words, placed]))
    for index in range(layers):
        layer = f"/encoder/layer.{index}"
        here = f"{layer}/attention/self"
        query = heads(f"{here}/query", value, [0, 2, 1, 3])
        key = heads(f"{here}/key", value, [0, 2, 3, 1])
        content = heads(f"{here}/value", value, [0, 2, 1, 3])
        scores = add(f"{here}/scores", "MatMul", [query, key])
        chances = add(here, "Softmax", [add(here, "Div", [scores, "scale"])], axis=-1)
        mixed = add(here, "Transpose", [add(here, "MatMul", [chances, content])], perm=[0, 2, 1, 3])
        joined = add(here, "Reshape", [mixed, "join_heads"])
        attended = linear(f"{layer}/attention/output", joined, HIDDEN, HIDDEN)
        value = norm(f"{layer}/attention/norm", add(f"{layer}/attention", "Add", [attended, value]))
        inner = add(f"{layer}/intermediate", "Gelu", [linear(f"{layer}/intermediate/dense", value, HIDDEN, INNER)])
        outer = linear(f"{layer}/output/dense", inner, INNER, HIDDEN)
        value = norm(f"{layer}/output/norm", add(f"{layer}/output", "Add", [outer, value]))
    first = add("/pooler", "Gather", [value, "first"], axis=1)
    dense = linear("/pooler/dense", first, HIDDEN, HIDDEN)
    nodes.append(helper.make_node("Tanh", [dense], ["pooled"], name="/pooler/Tanh"))
    return nodes, weights


def _write(path: Path, graph: onnx.GraphProto, weights: Sequence[Weight], seed: int) -> None:
    """Writes a model of ``graph`` with ``weights`` after its initializers, as protobuf itself would have written it."""
    front = onnx.GraphProto(node=graph.node, name=graph.name, initializer=graph.initializer).SerializeToString()
    back = onnx.GraphProto(input=graph.input, output=graph.output).SerializeToString()
    heads = [_head(weight) for weight in weights]
    size = len(front) + sum(len(start) + weight.size for start, weight in zip(heads, weights, strict=True)) + len(back)
    before, after = model_around(size, _OPSET)
    random = np.random.default_rng(seed)
    with path.open("wb") as file:
        file.write(before + front)
        for start, weight in zip(heads, weights, strict=True):
            file.write(start)
            _write_values(file, weight, random)
        file.write(back + after)


def _write_values(file: IO[bytes], weight: Weight, random: np.random.Generator) -> None:
    if weight.sparse:
        file.seek(weight.size, 1)
        return
    for size in _chunks(weight.size // 4):
        file.write((random.standard_normal(size, dtype=np.float32) * np.float32(0.02)).tobytes())


def _chunks(count: int) -> Iterator[int]:
    for start in range(0, count, _CHUNK):
        yield min(_CHUNK, count - start)


def _head(weight: Weight) -> bytes:
    """All of an initializer but the data, which are its last field."""
    tensor = TensorProto(dims=weight.shape, data_type=TensorProto.FLOAT, name=weight.name).SerializeToString()
    tensor += head(TensorProto, "raw_data", weight.size)
    return head(onnx.GraphProto, "initializer", len(tensor) + weight.size) + tensor


KINDS: dict[str, Callable[..., Path]] = {
    "bert-base": bert_base,
    "many-small-nodes": graphs.tree,
    "external-sparse": external_sparse,
    "internal-sparse": internal_sparse,
    "flat": graphs.flat,
    "deep": graphs.deep,
    "small-modules": graphs.small_modules,
    "bodies": graphs.bodies,
}

if __name__ == "__main__":
    kind, target, *number = sys.argv[1:]
    KINDS[kind](Path(target), *(float(text) if "sparse" in kind else int(text) for text in number))
