"""Finds where two models diverge: runs both on the same inputs, and compares their tensors operator by operator."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import numpy as np

from graphml_onnx.errors import ModelError, UsageError
from graphml_onnx.graph.extraction import taken_by
from graphml_onnx.graph.loading import open as open_graph
from graphml_onnx.graph.matching import Matching
from graphml_onnx.inputs.made import SEED, CannotRunError
from graphml_onnx.running.feed import Inputs, failed
from graphml_onnx.running.figures import Figures
from graphml_onnx.running.isolation import between, isolated
from graphml_onnx.running.quantised import SUFFIX, scales_of
from graphml_onnx.running.sessions import Runnable
from graphml_onnx.support.extras import require
from graphml_onnx.support.progress import Stage

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from os import PathLike

    import numpy.typing as npt

    from graphml_onnx.graph.elements import Module, Operator, Tensor
    from graphml_onnx.inputs.forms import JsonSource
    from graphml_onnx.inputs.made import Array
    from graphml_onnx.results import Progress
    from graphml_onnx.support.strictjson import Json

THRESHOLD = 20.0
"""SQNR in decibels below which two tensors diverge: an error of a tenth of the values, as a whole."""

_SHARE = 0.5
"""A tensor with this share of the largest own noise counts as having as much as any."""

_BATCH = 1 << 27
"""Bytes of tensors of one model in memory at once, as far as their shapes are known in advance."""
_UNKNOWN = 1 << 22  # bytes of a tensor of unknown shape

_CUTTING = {"Relu", "Clip"}

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
        own: SQNR in decibels if the operator of the new model takes the inputs of the old one: its own error, without
            those of operators before it. It is only measured below the threshold; above, it is the SQNR of the tensor.
    """

    operator: str
    op_type: str
    module: str
    tensor: str
    other: str
    figures: Figures
    own: float

    def to_dict(self) -> dict[str, Json]:
        """The numbers as JSON values."""
        names: dict[str, Json] = {
            name: getattr(self, name) for name in ("operator", "op_type", "module", "tensor", "other")
        }
        return names | self.figures.to_dict() | {"own_sqnr_db": _finite(self.own)}


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
        self.noise += _noise(figures.sqnr)
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

        It is the first tensor below the threshold, in the order of the old model, whose operator itself makes about as
        large an error as any: at least half of the largest own noise. What operators before it have done does not
        count, and an error as large as the values is as large as any. If no operator's own error is below the
        threshold, errors add up, and it is the first tensor below the threshold.
        """
        below = [tensor for tensor in self.tensors if tensor.figures.sqnr < self.threshold]
        wrong = [tensor for tensor in below if tensor.own < self.threshold]
        enough = _SHARE * max((_noise(tensor.own) for tensor in wrong), default=0)
        return next((tensor for tensor in wrong if _noise(tensor.own) >= enough), next(iter(below), None))

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
        comparison = _Comparison(Path(old), Path(new), threshold, stack)
        feed, (batches, first) = inputs.run(comparison.left, comparison.begin)
        with Stage(progress, "compare", len(batches), "steps") as stage:
            for number, batch in enumerate(batches):
                comparison.compare(batch, feed, first if number == 0 else None)
                first = {}
                stage.advance(1)
        found = comparison.result(feed)
    if not found.tensors:
        raise UsageError("the models have no tensor in common", remedy="g2o diff without --numeric compares them")
    return found


_Batch: TypeAlias = "list[tuple[Tensor, Tensor]]"


class _Comparison:
    """Two models, their corresponding tensors, and the results."""

    def __init__(self, old: Path, new: Path, threshold: float, stack: ExitStack) -> None:
        self._old = old
        self._threshold = threshold
        self.left, self._right = (stack.enter_context(open_graph(model)) for model in (old, new))
        self._models = Runnable(self.left), Runnable(self._right)
        self._scales = {**scales_of(self.left.main), **scales_of(self._right.main)}
        self._matching = Matching(self.left.main, self._right.main, {})
        self._left_out: dict[str, Reason] = {}
        self._found: dict[Tensor, tuple[Tensor, Figures]] = {}
        self._own: dict[Tensor, float] = {}
        self._maker: dict[Tensor, Operator] = {}  # of tensors whose activation is part of the operator before it
        self._old_of: dict[Tensor, Tensor] = {}  # of the compared tensors of the new model that hold real numbers
        self._types: dict[Tensor, npt.DTypeLike] = {}  # theirs

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
                new = results.get(old) or known.get(old) or self._named(old)
                is_others = new is not None and old not in results and taken.get(new, old) is not old
                if new is None or new.parameter is not None or new.producer is None or is_others:
                    self._left_out[old.name] = "no partner"
                elif not _has_numbers(old) or not _has_numbers(new):
                    self._left_out[old.name] = "no numbers"
                else:
                    yield old, new

    def _named(self, old: Tensor) -> Tensor | None:
        """The tensor of the new model with the name of one of the old, or that a quantiser named after it.

        A quantiser leaves out an activation that only cuts values off: the range of the integers does that. Then the
        tensor named after the input of the activation is its output.
        """
        found = self._tensor(old.name)
        taker = old.consumers[0] if len(old.consumers) == 1 else None
        if found in self._scales and taker is not None and self._is_left_out(taker):
            return None
        maker = old.producer
        if found is None and maker is not None and self._is_left_out(maker) and (inner := maker.inputs[0]) is not None:
            found = self._tensor(inner.name)
            if found not in self._scales or len(inner.consumers) > 1:
                return None
            if inner.producer is not None:
                self._maker[old] = inner.producer
        return found

    def _tensor(self, name: str) -> Tensor | None:
        tensors = self._right.main.tensors
        return tensors.get(name) or tensors.get(name + SUFFIX) or tensors.get(name.removesuffix(SUFFIX))

    def _is_left_out(self, operator: Operator) -> bool:
        made = operator.outputs[0]
        return operator.op_type in _CUTTING and made is not None and self._tensor(made.name) is None

    def compare(self, batch: _Batch, feed: Mapping[str, Array], first: Mapping[str, object] | None) -> None:
        """Compares the tensors of a batch; ``first`` are those of the old model, if already known."""
        inputs = [] if first else list(dict.fromkeys([old.name for old, _ in batch] + self._taken_from_earlier(batch)))
        try:
            before = first or self._models[0].outputs(inputs, feed)
        except CannotRunError as error:
            raise failed(self.left, error) from error
        fed = self._fed(feed)
        try:
            after = self._models[1].outputs(list(dict.fromkeys(new.name for _, new in batch)), fed)
        except CannotRunError as error:
            raise failed(self._right, error) from error
        diverging: _Batch = []
        for old, new in batch:
            one, other = before[old.name], after[new.name]
            if not isinstance(one, np.ndarray) or not isinstance(other, np.ndarray):
                self._left_out[old.name] = "no numbers"
                continue
            stored = other.dtype
            one, other = self._real(old, one), self._real(new, other)
            is_real = np.issubdtype(one.dtype, np.floating)
            if one.shape != other.shape:
                self._left_out[old.name] = "another shape"
            elif is_real != np.issubdtype(other.dtype, np.floating):
                self._left_out[old.name] = "another kind"
            elif one.dtype.kind not in "fiub":
                self._left_out[old.name] = "no numbers"
            else:
                figures = Figures.of(one, other)
                self._found[old] = new, figures
                if is_real:
                    self._old_of[new], self._types[new] = old, stored
                if figures.sqnr < self._threshold:
                    diverging.append((old, new))
        del after
        if diverging:
            self._isolate(diverging, before, fed)

    def _real(self, tensor: Tensor, array: Array) -> Array:
        """The real numbers of a tensor that may be quantised."""
        scale = self._scales.get(tensor)
        return scale.real(array) if scale is not None and array.dtype.kind in "iu" else array

    def _taken_from_earlier(self, batch: _Batch) -> list[str]:
        """The tensors of the old model for those of earlier batches that the operators of a batch begin with."""
        own = {new for _, new in batch}
        found = (t for o in between(own, self._old_of.keys() | own) for t in taken_by(o) if t not in own)
        return [self._old_of[tensor].name for tensor in found if tensor in self._old_of]

    def _isolate(self, batch: _Batch, before: Mapping[str, object], fed: Mapping[str, Array]) -> None:
        """Runs the operators of the new model that make some tensors, each with the inputs of the old model."""
        given = {new: dtype for new, dtype in self._types.items() if self._old_of[new].name in before}
        copies = isolated([new for _, new in batch], given)
        inputs = {name: self._stored(new, before[self._old_of[new].name]) for name, new in copies.inputs.items()}
        try:
            found = self._models[1].outputs([*copies.outputs.values()], {**fed, **inputs}, copies.more)
        except CannotRunError:  # what a copy takes is of another shape than in the model, for example
            return
        for old, new in batch:
            if new in copies.outputs:
                one = self._real(old, cast("Array", before[old.name]))
                other = self._real(new, cast("Array", found[copies.outputs[new]]))
                self._own[old] = Figures.of(one, other).sqnr if one.shape == other.shape else -math.inf

    def _stored(self, new: Tensor, array: object) -> Array:
        """A tensor of the old model as the new model holds it."""
        old, dtype = self._old_of[new], np.dtype(self._types[new])
        real = self._real(old, cast("Array", array))
        if dtype.kind in "iu":
            return self._scales[new].stored(real, dtype)
        if dtype == np.float16:
            most = np.finfo(np.float16).max
            real = np.where(np.isfinite(real), np.clip(real, -most, most), real)
        return real.astype(dtype, copy=False)

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
            elif tensor.parameter is None:
                told = f"its input {tensor.name!r} corresponds to none of the other model"
                raise ModelError(told, file=self._right.path, remedy="compare models that take the same inputs")
        return found

    def result(self, feed: Mapping[str, Array]) -> NumericDiff:
        rows: dict[Tensor, TensorNumbers] = {}
        by_module: dict[Module, list[TensorNumbers]] = {}
        for old, (new, figures) in self._found.items():
            operator = self._maker.get(old) or cast("Operator", old.producer)
            module = operator.module
            own = self._own.get(old, figures.sqnr)
            row = TensorNumbers(operator.label, operator.op_type, module.path, old.name, new.name, figures, own)
            rows[old] = row
            by_module.setdefault(module, []).append(row)
        outputs = (rows[tensor] for tensor in self.left.outputs if tensor in rows)
        shapes = {name: array.shape for name, array in feed.items()}
        modules = tuple(_by_module(self.left.root, by_module))
        return NumericDiff(self._threshold, tuple(rows.values()), modules, tuple(outputs), self._left_out, shapes)


def _noise(sqnr: float) -> float:
    """Noise as a share of the signal; at most 1."""
    return 10 ** (-sqnr / 10) if sqnr > 0 else 1.0


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
