"""Says where operators stand, by the values of their weights: ``python -m tests.real.producers FOLDER...``.

``tests/real/produce.py`` writes the models, and beside each the values of its parameters by the names of the source
(``NAME.npz``). Where these are not kept, ``NAME_owners.json`` says what a look at them told.
An operator takes a parameter if one of its weights, dequantised, turned or joined with others as it may be, has the
values of that parameter; it is right if its module is the one that owns the parameter. No name of a weight counts.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import onnx
from onnx import numpy_helper

from graphml_onnx import to_networkx

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    Array = NDArray[np.float32]

_COPIES = {
    "Transpose",
    "Reshape",
    "Cast",
    "Identity",
    "DequantizeLinear",
    "Unsqueeze",
    "Squeeze",
    "Mul",
    "Slice",
    "Split",
}
_LEAST = 8  # numbers: fewer tell nothing
_CLOSE = 0.97  # correlation of a quantised matrix with what it was: 4 bits leave about 0.99
_SAME = 0.9999  # of a vector
HEADER = "| models | with | parameter operators | right | % | source |\n| --- | --- | --- | --- | --- | --- |"


class Truth:
    """The parameters of the source, found by their values."""

    def __init__(self, values: Mapping[str, Array]) -> None:
        self._by_size: dict[int, list[tuple[str, Array]]] = {}
        for name, value in values.items():
            self._by_size.setdefault(value.size, []).append((name, value.astype(np.float32)))

    def owners(self, weight: Array) -> frozenset[str]:
        """The modules that own the parameters of which a weight was made; several for one that they share."""
        if weight.size < _LEAST:
            return frozenset()
        if found := self._owners(weight):
            return found
        for axis in range(weight.ndim):  # query, key and value in one
            if weight.shape[axis] % 3 == 0:
                parts = [self._owners(part) for part in np.split(weight, 3, axis)]
                if all(parts):
                    return frozenset({_common(frozenset.union(*parts))})
        return frozenset()

    def _owners(self, weight: Array) -> frozenset[str]:
        likeness: dict[str, float] = {}
        for name, value in self._by_size.get(weight.size, ()):
            likeness[name] = max(_alike(turned, value) for turned in _turned(weight, value))
        best = max(likeness.values(), default=0.0)
        is_vector = weight.size == max(weight.shape)
        if best < (_SAME if is_vector else _CLOSE):
            return frozenset()
        return frozenset(name.rpartition(".")[0] for name, found in likeness.items() if found > best - 1e-6)


def _turned(weight: Array, value: Array) -> Iterator[Array]:
    """A weight in the order of a parameter, as exporters turn it."""
    if weight.size == max(weight.shape):
        yield weight.reshape(value.shape)
        return
    for turned in (weight, weight.T):
        yield turned.reshape(value.shape)
    if value.ndim > 1 and weight.ndim > 1 and weight.shape[-1] == value.shape[0]:
        yield weight.reshape(-1, value.shape[0]).T.reshape(value.shape)
    if value.ndim == 4:  # of Keras: height, width, input, output
        yield weight.transpose(2, 3, 1, 0).reshape(value.shape) if weight.ndim == 4 else weight.reshape(value.shape)


def _alike(left: Array, right: Array) -> float:
    """The correlation of two tensors of a shape, whatever each output is multiplied with: a fused normalisation."""
    rows = [(left.ravel(), right.ravel())]
    if left.ndim > 1 and left.shape[0] > 1 and left[0].size > 3:
        rows += [(left[number].ravel(), right[number].ravel()) for number in range(left.shape[0])]
    found = [float(np.corrcoef(*pair)[0, 1]) if pair[0].std() and pair[1].std() else 0.0 for pair in rows]
    return max(found[0], float(np.mean(np.abs(found[1:]))) if found[1:] else 0.0)


class Taken(NamedTuple):
    """An operator that takes parameters: its place in the graph, and the modules that own them."""

    position: int
    owners: frozenset[str]


def taken(model: onnx.ModelProto, truth: Truth) -> Iterator[Taken]:
    """The operators of the main graph that take parameters of the source."""
    values = {value.name: value for value in model.graph.initializer}
    weights: dict[str, Array] = {}
    for name, value in values.items():
        if value.data_type in (1, 10, 11, 2, 3, 6):
            weights[name] = numpy_helper.to_array(value).astype(np.float32)
    sizes = {name: weight.shape for name, weight in weights.items()}
    owners: dict[str, frozenset[str]] = {}
    for position, node in enumerate(model.graph.node):
        for name in node.input:
            if name in weights and name not in owners:
                owners[name] = truth.owners(weights[name])
        matrices = [name for name in node.input if name in owners and len(sizes.get(name, (1, 1))) > 1]
        found = frozenset().union(*(owners[name] for name in matrices))  # a matrix tells more than its bias
        if not found:
            found = frozenset().union(*(owners.get(name, frozenset()) for name in node.input))
        if node.op_type == "MatMulNBits":
            found = truth.owners(_of_bits(node, values))
        is_constant = all(name in values or name in owners or not name for name in node.input) and len(node.input) > 0
        if is_constant and node.op_type in _COPIES:
            for name in node.output:
                owners[name] = found
        elif found:
            yield Taken(position, found)


def _of_bits(node: onnx.NodeProto, values: Mapping[str, onnx.TensorProto]) -> Array:
    """The matrix of a MatMulNBits, as far as its first blocks go: rows of the output by columns of the input."""
    attributes = {attribute.name: attribute.i for attribute in node.attribute}
    rows, columns, size = attributes["N"], attributes["K"], attributes["block_size"]
    packed = numpy_helper.to_array(values[node.input[1]]).reshape(rows, -1, size // 2)
    levels = np.stack([packed & 15, packed >> 4], axis=-1).reshape(rows, -1, size).astype(np.float32)
    scales = numpy_helper.to_array(values[node.input[2]]).reshape(rows, -1, 1).astype(np.float32)
    zero: Array = np.full((rows, scales.shape[1], 1), 8, np.float32)
    if len(node.input) > 3 and node.input[3]:
        points = numpy_helper.to_array(values[node.input[3]]).reshape(rows, -1)
        zero = (
            np.stack([points & 15, points >> 4], axis=-1)
            .reshape(rows, -1)[:, : scales.shape[1], None]
            .astype(np.float32)
        )
    return ((levels - zero) * scales).reshape(rows, -1)[:, :columns].astype(np.float32)


def owners_beside(path: Path) -> list[Taken]:
    """The operators of a model that take parameters, as the values of these or a record of such a look tell."""
    if owners_file(path).exists():
        owners = json.loads(owners_file(path).read_text("utf-8"))
        names = {_name(node): position for position, node in enumerate(onnx.load(path).graph.node)}
        return [Taken(names[name], frozenset(modules)) for name, modules in owners.items()]
    with np.load(path.with_suffix(".npz")) as values:
        truth = Truth({name: values[name] for name in values.files})
    return list(taken(onnx.load(path), truth))


def record(path: Path, values: Path) -> str:
    """What ``NAME_owners.json`` says of a model: the modules that own what an operator takes, by its name."""
    model = onnx.load(path)
    with np.load(values) as known:
        truth = Truth({name: known[name] for name in known.files})
    owners = {_name(model.graph.node[position]): sorted(found) for position, found in taken(model, truth)}
    return json.dumps(owners, indent=1) + "\n"


def owners_file(path: Path) -> Path:
    """Where that is kept."""
    return path.with_name(f"{path.stem}_owners.json")


def metadata_beside(path: Path) -> Path | None:
    """The HTP metadata of a model, if they lie beside it."""
    beside = path.with_name(f"{path.stem}_htp_metadata.json")
    return beside if beside.exists() else None


def _name(node: onnx.NodeProto) -> str:
    return node.name or node.output[0]


def judge(path: Path, metadata: Path | None, *, names_only: bool = False) -> tuple[int, int, str, list[str]]:
    """Operators that take a parameter, how many stand in the module that owns it, the source, and those that do not.

    Args:
        path: the model; the truth lies beside it.
        metadata: HTP metadata, if there are any.
        names_only: whether what the exporter wrote of modules is taken out first.
    """
    model = onnx.load(path)
    operators = owners_beside(path)
    with tempfile.TemporaryDirectory() as folder:
        if names_only:
            for node in model.graph.node:
                del node.metadata_props[:]
            path = Path(folder, path.name)
            onnx.save(model, path)
        graph = to_networkx(path, metadata=metadata)
    data = graph.nodes
    found = [
        (data[node], data[data[node]["parent"]].get("scope", "")) for node in data if data[node].get("kind") == "op"
    ]
    scopes = {attributes.get("name") or attributes["outputs"][0]: scope for attributes, scope in found}
    source = str(data["model"].get("hierarchy_source", "none"))
    pairs = []
    for position, owners in operators:
        name = _name(model.graph.node[position])
        pairs.append((name, scopes[name], owners))
    shift = _shift(pairs)
    wrong = [
        f"{name}: {scope or '(root)'}, not {' or '.join(sorted(owners))}"
        for name, scope, owners in pairs
        if not any(_same(scope, owner, shift) for owner in {*owners, _common(owners)})
    ]
    return len(pairs), len(pairs) - len(wrong), source, wrong


def _common(owners: frozenset[str]) -> str:
    found: list[str] | None = None
    for owner in owners:
        parts = owner.split(".")
        if found is None:
            found = parts
        while found != parts[: len(found)]:
            found = found[:-1]
    return ".".join(found or [])


def _shift(pairs: list[tuple[str, str, frozenset[str]]]) -> tuple[str, str]:
    """What stands before all scopes, or before all owners: the name of a wrapper."""
    counts: Counter[tuple[str, str]] = Counter()
    for scope, owner in ((scope, owner) for _, scope, owners in pairs for owner in owners):
        if owner and (scope == owner or scope.endswith(f".{owner}")):
            counts[scope[: len(scope) - len(owner)], ""] += 1
        elif scope and owner.endswith(f".{scope}"):
            counts["", owner[: len(owner) - len(scope)]] += 1
    return counts.most_common(1)[0][0] if counts else ("", "")


def _same(scope: str, owner: str, shift: tuple[str, str]) -> bool:
    return scope.removeprefix(shift[0]) == owner.removeprefix(shift[1])


def main() -> int:
    """Prints a row for each model; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.real.producers", description=__doc__)
    parser.add_argument("folders", metavar="FOLDER", nargs="+", type=Path)
    parser.add_argument("--wrong", action="store_true", help="name the operators that stand elsewhere")
    parser.add_argument("--record", metavar="NPZ", type=Path, help="print NAME_owners.json of one model instead")
    arguments = parser.parse_args()
    if arguments.record:
        print(record(arguments.folders[0], arguments.record), end="")
        return 0
    print(HEADER)
    for folder in arguments.folders:
        for path in sorted(folder.glob("*.onnx")):
            given = metadata_beside(path)
            for text, metadata, names_only in (
                ("HTP metadata", given, False),
                ("", None, False),
                ("names alone", None, True),
            ):
                if text == "HTP metadata" and metadata is None:
                    continue
                total, right, source, wrong = judge(path, metadata, names_only=names_only)
                share = f"{100 * right / total:.0f}" if total else "-"
                print(
                    f"| {folder.name}: {path.stem} | {text or 'as written'} | {total} | {right} | {share} | {source} |",
                    flush=True,
                )
                if arguments.wrong:
                    print("".join(f"    {line}\n" for line in wrong), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
