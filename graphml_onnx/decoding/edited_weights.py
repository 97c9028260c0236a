"""Edited weights: tensors of another file, or arrays, replace the encoded tensors by name.

Source: docs/format.md, section "Edited weights".
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import ml_dtypes
import numpy as np
from onnx import TensorProto

from graphml_onnx.codec.payload_names import dtype_of, file_name, find_payloads, tensors_by_name
from graphml_onnx.errors import GraphMLError, PayloadError, UsageError
from graphml_onnx.onnxfile.schema import parse_model
from graphml_onnx.onnxfile.skeleton import Payload, told_apart
from graphml_onnx.onnxfile.source import FileSource, JoinedSource, Source
from graphml_onnx.parameters.chunks import chunks
from graphml_onnx.parameters.safetensors import TensorSpec, content_size, read_header
from graphml_onnx.parameters.store import PayloadReference, Store

if TYPE_CHECKING:
    import os
    from pathlib import Path

    import numpy.typing as npt
    import onnx

    from graphml_onnx.decoding.records import LoadedModel

Weights: TypeAlias = "Mapping[str, npt.NDArray[np.generic]] | str | os.PathLike[str]"
"""Arrays by name, or a safetensors file."""

_SHOWN = 5  # names in a message

_NUMPY: Mapping[str, npt.DTypeLike] = {
    "BOOL": np.bool_, "U8": np.uint8, "I8": np.int8, "U16": np.uint16, "I16": np.int16, "U32": np.uint32,
    "I32": np.int32, "U64": np.uint64, "I64": np.int64, "F16": np.float16, "F32": np.float32, "F64": np.float64,
    "C64": np.complex64, "BF16": ml_dtypes.bfloat16, "F8_E4M3": ml_dtypes.float8_e4m3fn,
    "F8_E5M2": ml_dtypes.float8_e5m2, "F8_E4M3FNUZ": ml_dtypes.float8_e4m3fnuz,
    "F8_E5M2FNUZ": ml_dtypes.float8_e5m2fnuz, "F8_E8M0": ml_dtypes.float8_e8m0fnu,
}  # fmt: skip
_FLOATS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "F8_E4M3FNUZ", "F8_E5M2FNUZ", "F8_E8M0")


class NewTensor(NamedTuple):
    """A tensor that replaces an encoded one.

    Attributes:
        dtype: its type, as safetensors names it.
        shape: its dimensions.
        source: has its bytes.
        offset: where they start in it.
        length: their number.
    """

    dtype: str
    shape: tuple[int, ...]
    source: Source
    offset: int
    length: int


class ModelWithWeights(NamedTuple):
    """A model and the store of its payloads.

    Attributes:
        model: the model; its references have the lengths and digests of the weights in the store.
        store: has the weights.
        changed: what was changed since it was encoded, one line for each tensor.
    """

    model: LoadedModel
    store: Store
    changed: tuple[str, ...]


def new_tensors(weights: Mapping[str, npt.NDArray[np.generic]] | FileSource) -> dict[str, NewTensor]:
    """The tensors by name.

    Args:
        weights: arrays, or an open file.

    Raises:
        PayloadError: the file is no safetensors file.
        UsageError: one is no array, or has a type that safetensors does not have.
    """
    if isinstance(weights, Mapping):
        return {name: _of_array(name, array) for name, array in weights.items()}
    try:
        header = read_header(weights)
    except PayloadError as error:
        raise error.at(file=weights.path) from None
    return {
        name: NewTensor(spec.dtype, spec.shape, weights, offset, spec.length)
        for name, (spec, offset) in header.tensors.items()
    }


def _of_array(name: str, array: npt.NDArray[np.generic]) -> NewTensor:
    if not isinstance(array, np.ndarray | np.generic) or not isinstance(name, str):
        raise UsageError(
            f"the weights have a {type(array).__name__} under the name {name!r}",
            remedy="give numpy arrays by name; of a tensor of PyTorch, `tensor.numpy()`",
        )
    plain = array.dtype.newbyteorder("=")
    dtype = next((dtype for dtype, known in _NUMPY.items() if np.dtype(known) == plain), None)
    if dtype is None:
        raise UsageError(f"the array {name!r} has the type {array.dtype}, which weights cannot have")
    content = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1).view(np.uint8)
    return NewTensor(dtype, array.shape, _ArraySource(content), 0, content.size)


def replace_weights(model: LoadedModel, weights: Mapping[str, NewTensor], file: Path | None) -> ModelWithWeights:
    """Replaces the encoded tensors by others.

    Args:
        model: the model, with the payloads that were encoded.
        weights: the tensors, by their names in the sidecar of the model (or the names that they would have there).
        file: where they are, for messages.

    Raises:
        PayloadError: a tensor is missing, unknown, or has another shape, or a type that cannot be converted to the
            model's.
        GraphMLError: the result is no valid model.
    """
    skeleton, numbers = told_apart(model.skeleton, model.nonce, model.references)  # places with one content may part
    references = {place: model.references[number] for place, number in numbers.items()}
    model = model._replace(skeleton=skeleton, references=references)
    data_files = model.externals if model.store.has_data_files else ()
    message = _parsed(model)
    wanted = _wanted(model, message)
    names = {spec.name for spec in wanted.values()} | {file_name(item.location) for item in data_files}
    _check_names(names, weights, message, file)
    parts = JoinedSource()
    changed: dict[str, None] = {}  # a tensor that two places share is changed once

    def take(reference: PayloadReference, spec: TensorSpec) -> PayloadReference:
        new = weights[spec.name]
        source, length = _fitting(new, spec, file)
        digest = hashlib.sha256()
        for chunk in chunks(source, 0, length):
            digest.update(chunk)
        sha256 = digest.hexdigest()
        if sha256 != reference.sha256:
            note = "" if new.dtype == spec.dtype else f", converted from {new.dtype} to {spec.dtype}"
            changed[f"{spec.name}: {spec.dtype}{list(spec.shape)}{note}"] = None
        return PayloadReference(parts.add(source), length, sha256)

    references = {number: take(model.references[number], spec) for number, spec in wanted.items()}
    externals = []
    for item in data_files:
        length = item.content.length
        spec = TensorSpec(file_name(item.location), "U8", (length,), length)
        externals.append(item._replace(content=take(item.content, spec)))
    edited = model._replace(references=references, externals=tuple(externals) if data_files else model.externals)
    return ModelWithWeights(edited, Store(parts), tuple(changed))


def _parsed(model: LoadedModel) -> onnx.ModelProto:
    try:
        return parse_model(model.skeleton)
    except ValueError as error:
        raise GraphMLError(str(error), remedy="undo the last edit") from None


def _wanted(model: LoadedModel, message: onnx.ModelProto) -> dict[int, TensorSpec]:
    """The type and shape that the tensor of each payload must have; ``length`` is that of the payload."""
    payloads = [Payload(number, reference.length) for number, reference in model.references.items()]
    found = find_payloads(message, model.nonce, payloads)
    wanted = {}
    for number, reference in model.references.items():
        tensor, dtype = found[number].tensor, dtype_of(found[number])
        shape = (reference.length,) if tensor is None or dtype is None else tuple(tensor.dims)
        name = found[number].name if reference.name is None or reference.file is not None else reference.name
        wanted[number] = TensorSpec(name, dtype or "U8", shape, reference.length)
    return wanted


def _check_names(
    wanted: set[str], weights: Mapping[str, NewTensor], message: onnx.ModelProto, file: Path | None
) -> None:
    missing, added = wanted - weights.keys(), weights.keys() - wanted
    elsewhere = {name: tensor for name, tensor in tensors_by_name(message) if name in added} if added else {}
    in_files = {name for name, tensor in elsewhere.items() if tensor.data_location == TensorProto.EXTERNAL}
    for found, problem, remedy in (
        (
            in_files,
            "have {}, which the model has in a data file",
            "encode the model without data files: `onnx.save(onnx.load(...), ...)` gives it",
        ),
        (missing, "lack {}", "save all tensors of the model, also those that were not changed"),
        (
            added - elsewhere.keys(),
            "have {}, which the model does not have",
            "save the tensors of the model alone, under their names in it",
        ),
        (
            elsewhere.keys() - in_files,
            "have {}, which the graph has as text",
            "leave small tensors out, or encode with `inline_limit=32`, which leaves few in the graph",
        ),
    ):
        names = sorted(found)
        if names:
            shown = ", ".join(map(repr, names[:_SHOWN])) + (
                f" and {len(names) - _SHOWN} more" if names[_SHOWN:] else ""
            )
            tensors = f"the tensor{'s' * (len(names) > 1)} {shown}"
            raise PayloadError(f"the weights {problem.format(tensors)}", file=file, remedy=remedy)


def _fitting(new: NewTensor, spec: TensorSpec, file: Path | None) -> tuple[Source, int]:
    """The bytes of a tensor in the type of the model, and their number."""
    is_odd = min(spec.shape, default=0) < 0 or content_size(spec.dtype, spec.shape) != spec.length
    if is_odd and (new.dtype, new.shape) == ("U8", (spec.length,)):  # as it was encoded
        return _Part(new.source, new.offset, new.length), new.length
    if new.shape != spec.shape:
        raise PayloadError(
            f"the tensor {spec.name!r} has the shape {list(new.shape)}, but the model says {list(spec.shape)}",
            file=file,
            remedy="give it this shape, or change dims of the tensor in the graph too",
        )
    if new.dtype == spec.dtype:
        return _Part(new.source, new.offset, new.length), new.length
    if new.dtype not in _FLOATS or spec.dtype not in _FLOATS:
        raise PayloadError(
            f"the tensor {spec.name!r} has the type {new.dtype}, but the model says {spec.dtype}",
            file=file,
            remedy="give it this type, or change data_type of the tensor in the graph too",
        )
    converted = _Converted(_Part(new.source, new.offset, new.length), new.dtype, spec.dtype)
    return converted, converted.size


class _ArraySource(Source):
    """The bytes of an array."""

    def __init__(self, content: npt.NDArray[np.uint8]) -> None:
        self._content = content

    @property
    def size(self) -> int:
        return self._content.size

    def read(self, offset: int, length: int) -> bytes:
        return self._content[offset : offset + length].tobytes()


class _Part(Source):
    """Some bytes of a source."""

    def __init__(self, source: Source, start: int, size: int) -> None:
        self._source, self._start, self._size = source, start, size

    @property
    def size(self) -> int:
        return self._size

    def read(self, offset: int, length: int) -> bytes:
        return self._source.read(self._start + offset, length)

    def check_unchanged(self) -> None:
        self._source.check_unchanged()


class _Converted(Source):
    """A tensor in another type; each read converts the elements that it needs."""

    def __init__(self, source: Source, dtype: str, target: str) -> None:
        self._source = source
        self._from, self._to = np.dtype(_NUMPY[dtype]), np.dtype(_NUMPY[target])

    @property
    def size(self) -> int:
        return self._source.size // self._from.itemsize * self._to.itemsize

    def read(self, offset: int, length: int) -> bytes:
        width = self._to.itemsize
        first, last = offset // width, -(-(offset + length) // width)
        data = self._source.read(first * self._from.itemsize, (last - first) * self._from.itemsize)
        with np.errstate(over="ignore"):  # values too large for the type become infinite, as in numpy
            content = np.frombuffer(data, self._from).astype(self._to).tobytes()
        return content[offset - first * width :][:length]

    def check_unchanged(self) -> None:
        self._source.check_unchanged()
