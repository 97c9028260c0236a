"""Finds where two models diverge: runs both on the same inputs, and compares their tensors operator by operator."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import numpy as np

from graphml_onnx.errors import UsageError
from graphml_onnx.graph.loading import open as open_graph
from graphml_onnx.graph.matching import Matching
from graphml_onnx.inputs.made import SEED, CannotRunError
from graphml_onnx.running.feed import Inputs, failed
from graphml_onnx.running.figures import Figures
from graphml_onnx.running.sessions import Runnable
from graphml_onnx.support.extras import require
from graphml_onnx.support.progress import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from os import PathLike

    from graphml_onnx.graph.elements import Module, Operator, Tensor
    from graphml_onnx.inputs.forms import JsonSource
    from graphml_onnx.inputs.made import Array
    from graphml_onnx.results import Progress
    from graphml_onnx.support.strictjson import Json

THRESHOLD = 20.0
"""SQNR in decibels below which two tensors diverge: an error of a tenth of the values, as a whole."""

_SHARE = 0.8
"""An operator with this share of the largest loss counts as losing as much as any."""

_BEST = 40.0
"""SQNR in decibels from which on more makes no difference: such an error is negligible."""
_REPAIRED = 20.0
"""Gain in decibels that no operator really has: so much smaller an error is hidden by large numbers, as in masks."""
_BATCH = 1 << 27
"""Bytes of tensors of one model in memory at once, as far as their shapes are known in advance."""
_UNKNOWN = 1 << 22  # bytes of a tensor of unknown shape

_DTYPES = {
    "FLOAT": np.float32, "DOUBLE": np.float64, "FLOAT16": np.float16, "BOOL": np.bool_, "STRING": np.object_,
    "INT8": np.int8, "INT16": np.int16, "INT32": np.int32, "INT64": np.int64,
    "UINT8": np.uint8, "UINT16": np.uint16, "UINT32": np.uint32, "UINT64": np.uint64,
}  # fmt: skip

Reason: TypeAlias = Literal["no partner", "another shape", "another kind", "no numbers"]


@dataclass(frozen=True, slots=True)
class TensorNumbers:
    """The distance between a tensor and that of the other model.

    Attributes:
        operator: label of its operator in the old model.
        op_type: type of the operator.
        module: path of the operator's module.
        tensor: its name in the old model.
        other: its name in the new one.
        figures: the distance.
        loss: decibels by which it is worse than the worst input of the operator, counted from at most 40.
    """

    operator: str
    op_type: str
    module: str
    tensor: str
    other: str
    figures: Figures
    loss: float

    def to_dict(self) -> dict[str, Json]:
        """The numbers as JSON values."""
        names: dict[str, Json] = {
            name: getattr(self, name) for name in ("operator", "op_type", "module", "tensor", "other")
        }
        return names | self.figures.to_dict() | {"loss_db": _finite(self.loss)}


@dataclass(slots=True)
class ModuleNumbers:
    """The distance between the tensors of a module, including inner modules, and those of the other model.

    Attributes:
        path: of the module.
        class_name: of the module.
        depth: how many modules are around it.
        tensors: how many tensors were compared.
        noise: sum of the noise of the tensors, each as a share of its own signal.
        lowest: the lowest SQNR of one of them, in decibels.
        cosine: the lowest cosine.
        largest_absolute: the largest difference.
        largest_relative: the largest difference to a value, divided by the value.
    """

    path: str
    class_name: str
    depth: int
    tensors: int = 0
    noise: float = 0.0
    lowest: float = math.inf
    cosine: float = 1.0
    largest_absolute: float = 0.0
    largest_relative: float = 0.0

    @property
    def sqnr(self) -> float:
        """SQNR of the mean of all tensors. Each counts the same, independent of its size and scale."""
        return -10 * math.log10(self.noise / self.tensors) if self.noise else math.inf

    def add(self, figures: Figures) -> None:
        """Adds a tensor."""
        self.tensors += 1
        self.noise += min(10 ** (-figures.sqnr / 10), 1.0) if figures.sqnr > 0 else 1.0
        self._extend(figures.sqnr, figures.cosine, figures.largest_absolute, figures.largest_relative)

    def add_module(self, inner: ModuleNumbers) -> None:
        """Adds the tensors of a module in it."""
        self.tensors += inner.tensors
        self.noise += inner.noise
        self._extend(inner.lowest, inner.cosine, inner.largest_absolute, inner.largest_relative)

    def _extend(self, lowest: float, cosine: float, absolute: float, relative: float) -> None:
        self.lowest = min(self.lowest, lowest)
        self.cosine = min(self.cosine, cosine)
        self.largest_absolute = max(self.largest_absolute, absolute)
        self.largest_relative = max(self.largest_relative, relative)

    def to_dict(self) -> dict[str, Json]:
        """The numbers as JSON values; None if one is infinite."""
        return {
            "path": self.path,
            "class_name": self.class_name,
            "tensors": self.tensors,
            "sqnr_db": _finite(self.sqnr),
            "lowest_sqnr_db": _finite(self.lowest),
            "lowest_cosine": self.cosine,
            "largest_absolute": _finite(self.largest_absolute),
            "largest_relative": _finite(self.largest_relative),
            "is_equal": self.largest_absolute == 0,
        }


@dataclass(frozen=True, slots=True)
class NumericDiff:
    """Where the numbers of two models diverge.

    Attributes:
        threshold: SQNR in decibels below which tensors diverge.
        tensors: the compared tensors, in the order of the old model.
        modules: the modules of the old model, each before those in it.
        outputs: those of `tensors` that are outputs of the model.
        left_out: tensors of operators of the old model that were not compared, with the reason.
        inputs: shapes of the inputs.
    """

    threshold: float
    tensors: tuple[TensorNumbers, ...]
    modules: tuple[ModuleNumbers, ...]
    outputs: tuple[TensorNumbers, ...]
    left_out: Mapping[str, Reason]
    inputs: Mapping[str, tuple[int, ...]]

    @property
    def first(self) -> TensorNumbers | None:
        """The tensor where the models diverge; None if no SQNR is below the threshold.

        It is the first tensor below the threshold, in the order of the old model, whose operator itself loses about as
        much as any: at least 80 % of the largest loss. Earlier losses, by one operator or by many small errors, do not
        count against later operators.
        """
        below = [tensor for tensor in self.tensors if tensor.figures.sqnr < self.threshold]
        enough = _SHARE * max((tensor.loss for tensor in below), default=0)
        return next((tensor for tensor in below if tensor.loss >= enough), None)

    def to_dict(self) -> dict[str, Json]:
        """The comparison as JSON values."""
        first = self.first
        return {
            "threshold_db": self.threshold,
            "first": None if first is None else first.to_dict(),
            "inputs": {name: list(shape) for name, shape in self.inputs.items()},
            "outputs": [tensor.to_dict() for tensor in self.outputs],
            "modules": [module.to_dict() for module in self.modules],
            "tensors": [tensor.to_dict() for tensor in self.tensors],
            "left_out": dict(self.left_out),
        }


def numeric_diff(
    old: str | PathLike[str],
    new: str | PathLike[str],
    *,
    input_data: Mapping[str, Array] | str | PathLike[str] | None = None,
    input_specs: JsonSource | None = None,
    sizes: Mapping[str, int] | None = None,
    seed: int = SEED,
    threshold: float = THRESHOLD,
    progress: Progress | None = None,
) -> NumericDiff:
    """Runs two models on the same inputs with onnxruntime, and compares the tensors of their main graphs.

    It compares the outputs, the tensors that `diff` matches, and other tensors of the same name. Both models are run
    operator by operator, without onnxruntime's fusions. At most 128 MiB of tensors are in memory at once; the models
    run again for the next ones.

    Args:
        old: the reference model, in ONNX or GraphML.
        new: the other model. Inputs are cast to the types that it declares.
        input_data: arrays by input name in the old model, or an ``.npz`` file of them.
        input_specs: descriptions of inputs to make, by name, as for `export`.
        sizes: sizes of dynamic dimensions by their names, for inputs that are made without a description.
        seed: for random inputs.
        threshold: SQNR in decibels below which two tensors diverge.
        progress: called as the work goes on.

    Raises:
        UsageError: onnxruntime is not installed, there is no input or dimension of a name that is given, no tensor of
            the two corresponds, or both ``input_data`` and
            ``input_specs`` are given.
        ModelError: onnxruntime cannot run one of them.
        GraphmlOnnxError: a model cannot be read.
    """
    require("onnxruntime", "`numeric=True`")
    inputs = Inputs.read(input_data, input_specs, sizes, seed)
    with ExitStack() as stack:
        comparison = _Comparison(Path(old), Path(new), stack)
        feed, (batches, first) = inputs.run(comparison.left, comparison.begin)
        with Stage(progress, "compare", len(batches), "steps") as stage:
            for number, batch in enumerate(batches):
                comparison.compare(batch, feed, first if number == 0 else None)
                first = {}
                stage.advance(1)
        found = comparison.result(threshold, feed)
    if not found.tensors:
        raise UsageError("the models have no tensor in common", remedy="g2o diff without --numeric compares them")
    return found


_Batch: TypeAlias = "list[tuple[Tensor, Tensor]]"


class _Comparison:
    """Two models, their corresponding tensors, and the results."""

    def __init__(self, old: Path, new: Path, stack: ExitStack) -> None:
        self._old = old
        self.left, self._right = (stack.enter_context(open_graph(model)) for model in (old, new))
        self._models = Runnable(old, self.left, stack), Runnable(new, self._right, stack)
        self._matching = Matching(self.left.main, self._right.main, {})
        self._left_out: dict[str, Reason] = {}
        self._found: dict[Tensor, tuple[Tensor, Figures]] = {}

    def begin(self, feed: dict[str, Array]) -> tuple[list[_Batch], Mapping[str, object]]:
        """The tensors in batches, and those of the old model in the first batch."""
        batches = self._batches(feed)
        return batches, self._models[0].outputs([old.name for old, _ in batches[0]], feed) if batches else {}

    def _batches(self, feed: Mapping[str, Array]) -> list[_Batch]:
        sizes = {
            dim: size
            for tensor in self.left.inputs
            for dim, size in zip(
                tensor.shape or (), feed[tensor.name].shape if tensor.name in feed else (), strict=False
            )
            if isinstance(dim, str)
        }
        batches: list[_Batch] = []
        filled = 0
        with open_graph(self._old, infer_shapes=True, sizes=sizes) as graph:
            for old, new in self._pairs():
                needed = _nbytes(graph.main.tensors[old.name])
                if not batches or filled + needed > _BATCH:
                    batches.append([])
                    filled = 0
                batches[-1].append((old, new))
                filled += needed
        return batches

    def _pairs(self) -> Iterator[tuple[Tensor, Tensor]]:
        known, taken = self._matching.new_tensor, self._matching.old_tensor
        results = dict(zip(self.left.outputs, self._right.outputs, strict=False))
        named = {tensor.name: tensor for tensor in self._right.outputs}
        results = {old: named.get(old.name, new) for old, new in results.items()}
        for operator in self.left.main.operators:
            for old in operator.outputs:
                if old is None or old.parameter is not None:
                    continue
                new = results.get(old) or known.get(old) or self._right.main.tensors.get(old.name)
                is_others = new is not None and old not in results and taken.get(new, old) is not old
                if new is None or new.parameter is not None or new.producer is None or is_others:
                    self._left_out[old.name] = "no partner"
                elif not _has_numbers(old) or not _has_numbers(new):
                    self._left_out[old.name] = "no numbers"
                else:
                    yield old, new

    def compare(self, batch: _Batch, feed: Mapping[str, Array], first: Mapping[str, object] | None) -> None:
        """Compares the tensors of a batch; ``first`` are those of the old model, if already known."""
        try:
            before = first or self._models[0].outputs([old.name for old, _ in batch], feed)
        except CannotRunError as error:
            raise failed(self.left, error) from error
        try:
            after = self._models[1].outputs(list(dict.fromkeys(new.name for _, new in batch)), self._fed(feed))
        except CannotRunError as error:
            raise failed(self._right, error) from error
        for old, new in batch:
            one, other = before[old.name], after[new.name]
            if not isinstance(one, np.ndarray) or not isinstance(other, np.ndarray):
                self._left_out[old.name] = "no numbers"
            elif one.shape != other.shape:
                self._left_out[old.name] = "another shape"
            elif np.issubdtype(one.dtype, np.floating) != np.issubdtype(other.dtype, np.floating):
                self._left_out[old.name] = "another kind"
            elif one.dtype.kind not in "fiub":
                self._left_out[old.name] = "no numbers"
            else:
                self._found[old] = new, Figures.of(one, other)

    def _fed(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        """The inputs of the new model: by their match, by name, or else by position."""
        found = {}
        for place, tensor in enumerate(self._right.inputs):
            twin = self._matching.old_tensor.get(tensor)
            name = tensor.name if twin is None else twin.name
            if name not in feed and place < len(feed):
                name = [*feed][place]
            if name in feed:
                dtype = _DTYPES.get(tensor.dtype or "")
                array = feed[name]
                found[tensor.name] = array if dtype is None else array.astype(dtype, copy=False)
        return found

    def result(self, threshold: float, feed: Mapping[str, Array]) -> NumericDiff:
        best = self._best()
        rows: dict[Tensor, TensorNumbers] = {}
        by_module: dict[Module, list[TensorNumbers]] = {}
        for old, (new, figures) in self._found.items():
            operator = cast("Operator", old.producer)
            module = operator.module
            loss = min(best[old], _BEST) - figures.sqnr
            row = TensorNumbers(operator.label, operator.op_type, module.path, old.name, new.name, figures, loss)
            rows[old] = row
            by_module.setdefault(module, []).append(row)
        outputs = (rows[tensor] for tensor in self.left.outputs if tensor in rows)
        shapes = {name: array.shape for name, array in feed.items()}
        modules = tuple(_by_module(self.left.root, by_module))
        return NumericDiff(threshold, tuple(rows.values()), modules, tuple(outputs), self._left_out, shapes)

    def _best(self) -> dict[Tensor, float]:
        """The SQNR of the worst input of the operator that makes a tensor; seen through what was not compared."""
        known: dict[Tensor, float] = {}
        best: dict[Tensor, float] = {}
        for operator in self.left.main.operators:
            worst = min(
                (known.get(tensor, math.inf) for tensor in operator.inputs if tensor is not None), default=math.inf
            )
            for tensor in operator.outputs:
                if tensor is not None:
                    best[tensor] = worst
                    own = self._found[tensor][1].sqnr if tensor in self._found else worst
                    known[tensor] = worst if own > worst + _REPAIRED else own
        return best


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _by_module(root: Module, rows: Mapping[Module, Sequence[TensorNumbers]]) -> list[ModuleNumbers]:
    sums: dict[Module, ModuleNumbers] = {}
    modules = [*root.walk()]
    for module in reversed(modules):
        total = ModuleNumbers(module.path, module.class_name, module.depth)
        for row in rows.get(module, ()):
            total.add(row.figures)
        for child in module.children:
            total.add_module(sums[child])
        sums[module] = total
    return [sums[module] for module in modules if sums[module].tensors]


def _nbytes(tensor: Tensor) -> int:
    shape = None if tensor.type is None else tensor.type.static_shape
    dtype = _DTYPES.get(tensor.dtype or "")
    return _UNKNOWN if shape is None or dtype is None else math.prod(shape) * np.dtype(dtype).itemsize


def _has_numbers(tensor: Tensor) -> bool:
    return tensor.dtype is None or (tensor.dtype in _DTYPES and tensor.dtype != "STRING")
