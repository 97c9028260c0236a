"""Reads the ONNX file of an exporter without its weights, compares it with what was asked for, and writes it anew.

Operators get names of their own and tags, outputs the names that the model gives them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import defaultdict
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Final, NamedTuple

import onnx
from google.protobuf.message import DecodeError
from onnx import helper

from graphml_onnx.errors import ModelError, UsageError, writing_failed
from graphml_onnx.exporting.inputs import free_name
from graphml_onnx.exporting.record import TensorRecord
from graphml_onnx.onnxfile.skeleton import MarkerError, Stored, join, read_marker, split
from graphml_onnx.onnxfile.source import FileSource
from graphml_onnx.onnxfile.wire import WireError
from graphml_onnx.parameters.chunks import RawFile, chunks, packed, write_all
from graphml_onnx.support.notices import Notice

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, MutableSequence, Sequence
    from contextlib import ExitStack
    from pathlib import Path

    from graphml_onnx.exporting.backends.modules import Exported, Trial
    from graphml_onnx.exporting.inputs import ExampleInputs, ExampleRecord
    from graphml_onnx.exporting.options import ExporterSettings
    from graphml_onnx.support.strictjson import Json

TAG_KEY: Final = "winml.hierarchy.tag"
"""Key for the tag of a module in the metadata of an operator; tools that read HTP tags use it."""

INPUTS_KEY: Final = "winml.io.inputs"
"""Key for the inputs in the metadata of the model; tools that run an exported model use it."""

_ALIGNMENT: Final = 4096
"""Alignment of weights in a data file in bytes, as in PyTorch, so that they can be mapped into memory."""

_INLINE: Final = 1024
"""Bytes; tensors up to this size are parsed with the graph."""


class _Absent(NamedTuple):
    """A tensor without its values: where it is in a graph, its name, and its type and shape."""

    holder: MutableSequence[onnx.TensorProto] | MutableSequence[onnx.NodeProto]
    position: int
    name: str
    tensor: onnx.TensorProto


@dataclass(frozen=True, slots=True)
class ModelFile:
    """An ONNX file, and its graph in memory; the weights stay in the file.

    Attributes:
        model: the model without its weights; `write` writes its changes.
        source: the file.
        nonce: marks the places of the weights.
        lengths: length of each weight in bytes, by its offset in the file.
    """

    model: onnx.ModelProto
    source: FileSource
    nonce: bytes
    lengths: dict[int, int]

    @classmethod
    def read(cls, path: Path, stack: ExitStack) -> ModelFile:
        """Opens a file; ``stack`` closes it.

        Raises:
            ModelError: it is no ONNX file.
        """
        source = stack.enter_context(FileSource.open(path))
        try:
            skeleton = split(source, _INLINE)
            model = onnx.ModelProto.FromString(skeleton.data)
        except (WireError, DecodeError) as error:
            raise ModelError(f"the exporter wrote no ONNX file: {error}", file=path) from error
        return cls(model, source, skeleton.nonce, {payload.offset: payload.length for payload in skeleton.payloads})

    def check(self, path: Path) -> None:
        """Checks the model with its types and shapes, but not the values of its weights.

        Args:
            path: the user's path for the ONNX file, for messages.

        Raises:
            ModelError: it is not valid ONNX, or gives nothing.
        """
        if not self.model.graph.output:
            raise ModelError(
                "the model returns no tensor, so that no file can compute anything",
                file=path,
                remedy="let forward return what it computes",
            )
        try:
            onnx.checker.check_model(self._bare(), full_check=True)
        except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
            raise ModelError(
                f"the exporter wrote an invalid model: {' '.join(str(error).split())}",
                file=path,
                remedy="try the other `exporter`, another `opset`, or another version of PyTorch",
            ) from error

    def output_shapes(self, sizes: Mapping[str, int]) -> list[tuple[int | None, ...]]:
        """The shapes of the outputs as ONNX infers them from sizes of dynamic dimensions.

        Args:
            sizes: the sizes by the names of the dimensions.

        Returns:
            For each output its dimensions, None for one that is not known.

        Raises:
            onnx.shape_inference.InferenceError: operators do not fit these sizes.
        """
        bare = self._bare()
        for value in bare.graph.input:
            for dimension in value.type.tensor_type.shape.dim:
                if dimension.dim_param in sizes:
                    dimension.dim_value = sizes[dimension.dim_param]
        del bare.graph.value_info[:]
        for value in bare.graph.output:
            value.type.tensor_type.ClearField("shape")
        inferred = onnx.shape_inference.infer_shapes(bare, strict_mode=True, data_prop=True)
        return [
            tuple(dim.dim_value if dim.HasField("dim_value") else None for dim in value.type.tensor_type.shape.dim)
            for value in inferred.graph.output
        ]

    def _bare(self) -> onnx.ModelProto:
        """A copy of the model in which weights are inputs."""
        bare = onnx.ModelProto()
        bare.CopyFrom(self.model)
        given = {value.name for value in bare.graph.input}
        for graph in _graphs_of(bare.graph):
            for holder, position, name, tensor in self._absent(graph):
                if name not in given:  # types and shapes need no more of a weight
                    bare.graph.input.append(helper.make_tensor_value_info(name, tensor.data_type, tensor.dims))
                    given.add(name)
                del holder[position]
        return bare

    def _absent(self, graph: onnx.GraphProto) -> Iterator[_Absent]:
        """The weights and large constants of a graph whose values are not in memory, each list from its end."""
        for position in reversed(range(len(graph.initializer))):
            weight = graph.initializer[position]
            if self._is_absent(weight):
                yield _Absent(graph.initializer, position, weight.name, weight)
        for position in reversed(range(len(graph.node))):
            operator = graph.node[position]
            if operator.op_type == "Constant" and any(self._is_absent(entry.t) for entry in operator.attribute):
                yield _Absent(graph.node, position, operator.output[0], operator.attribute[0].t)

    def values(self, tensor: onnx.TensorProto) -> bytes:
        """The values of a tensor as they are in the file; empty for one in a data file."""
        number = read_marker(self.nonce, tensor.raw_data)
        if number is None:
            return tensor.raw_data
        return b"".join(chunks(self.source, number, number + self.lengths[number]))

    def _is_absent(self, tensor: onnx.TensorProto) -> bool:
        return tensor.data_location == onnx.TensorProto.EXTERNAL or self.nonce in tensor.raw_data

    def write(self, file: RawFile, path: Path) -> tuple[int, str]:
        """Writes the changed model.

        Args:
            file: the output, without a buffer.
            path: its name, for messages.

        Returns:
            Size in bytes and SHA-256 of the written file.

        Raises:
            StorageError: no space, or a broken disk.
            ModelError: the graph is beyond 2 GiB without its weights, or text in it looks like a marker.
        """
        digest = hashlib.sha256()
        size = 0
        try:
            for data in packed(self._parts()):
                digest.update(data)
                size += len(data)
                write_all(file, data)
        except OSError as error:
            raise writing_failed(error, path) from error
        except (MarkerError, WireError, ValueError) as error:
            raise ModelError(f"the graph cannot be written: {error}", file=path) from error
        return size, digest.hexdigest()

    def _parts(self) -> Iterator[bytes | memoryview]:
        for piece in join(self.model.SerializeToString(), self.nonce, self.lengths):
            if isinstance(piece, Stored):
                yield from chunks(self.source, piece.number, piece.number + self.lengths[piece.number])
            else:
                yield piece


def read_output(
    raw: Path, output: Path, exported: Exported, inputs: ExampleInputs, settings: ExporterSettings, stack: ExitStack
) -> tuple[ModelFile, list[Notice]]:
    """Reads what an exporter wrote, checks it, and names its operators and outputs.

    Args:
        raw: the file that the exporter wrote, in a separate folder, in which the weights are gathered.
        output: the user's path for it, for messages.
        exported: what the exporter returned.
        inputs: the example inputs.
        settings: what was asked for.
        stack: closes the file.

    Returns:
        The file, and findings for what was asked for and is not in it.

    Raises:
        UsageError: the opset is not the requested one.
        ModelError: it is not valid ONNX.
        StorageError: no space, or a broken disk.
    """
    file = ModelFile.read(raw, stack)
    graph = file.model.graph
    written = opset_version(file.model)
    if settings.opset is not None and written != settings.opset:
        raise UsageError(
            f"the {settings.exporter} exporter wrote opset {written}, not {settings.opset}",
            file="opset",
            remedy=f"ask for {written}, or try the other `exporter`",
        )
    separate_outputs(graph)
    findings = _unmet(graph, inputs, settings)
    renamed = name_operators(graph.node)
    if renamed:
        findings.append(Notice("operators-renamed", f"operators without a unique name, renamed: {renamed}"))
    if not settings.output_names:
        name_outputs(graph, exported.output_names, exported.known.weights.owners)
    file.check(output)
    if exported.trial is not None:
        findings += _fixed(exported.trial, file)
    gather_data(file.model, raw.parent, f"{raw.name}.data")
    return file, findings


def _unmet(graph: onnx.GraphProto, inputs: ExampleInputs, settings: ExporterSettings) -> list[Notice]:
    """Findings for inputs, names and dynamic dimensions that the exporter did not apply."""
    found = []
    given = {value.name: value for value in graph.input}
    unused = [tensor.name for tensor in inputs.tensors if tensor.name not in given]
    if unused and len(graph.input) < len(inputs.tensors):
        text = f"the model does not use these inputs, and the file does not have them: {', '.join(unused)}"
        found.append(Notice("input-left-out", text))
    for kind, wanted, values in (
        ("inputs", settings.input_names, graph.input),
        ("outputs", settings.output_names, graph.output),
    ):
        got = [value.name for value in values]
        if wanted and got[: len(wanted)] != list(wanted):
            text = f"the {kind} were to be called {', '.join(wanted)}, and are {', '.join(got)}"
            found.append(Notice("names-not-applied", text))
    for name, axes in settings.dynamic_shapes.items():
        dimensions = given[name].type.tensor_type.shape.dim if name in given else ()
        for number, symbol in axes.items():
            axis = dimensions[number] if number < len(dimensions) else None
            if axis is not None and axis.dim_param != symbol:
                told = axis.dim_param or axis.dim_value
                text = f"dimension {number} of {name} was to be dynamic as {symbol}, and is {told}"
                found.append(Notice("dimension-not-dynamic", text))
    return found


def _fixed(trial: Trial, file: ModelFile) -> list[Notice]:
    """Findings if the file only holds for the sizes of its example: with others, its shapes are not PyTorch's."""
    told = ", ".join(f"{symbol} = {size}" for symbol, size in trial.sizes.items())
    if trial.refusal:
        text = f"with {told}, the model failed: {trial.refusal}; the dimensions are dynamic in the file alone"
        return [Notice("sizes-fixed", text)]
    try:
        shapes = file.output_shapes(trial.sizes)
    except onnx.shape_inference.InferenceError as error:
        reason = " ".join(str(error).split())
        return [Notice("sizes-fixed", f"with {told}, the operators of the file do not fit each other: {reason}")]
    found = []
    for value, shape, result in zip(file.model.graph.output, shapes, trial.shapes, strict=False):
        known = len(shape) == len(result) or None in shape
        if known and any(one not in (None, other) for one, other in zip(shape, result, strict=False)):
            text = f"with {told}, {value.name} has the shape {[*shape]} in the file, and {[*result]} in PyTorch"
            found.append(Notice("sizes-fixed", text.replace("None", "?")))
    return found


def opset_version(model: onnx.ModelProto) -> int:
    """The version of the default domain."""
    return next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 0)


def tensor_records(values: Iterable[onnx.ValueInfoProto]) -> tuple[TensorRecord, ...]:
    """Inputs or outputs of a graph, for the record of the export."""
    return tuple(TensorRecord(value.name, _dtype(value), _shape(value)) for value in values)


def _dtype(value: onnx.ValueInfoProto) -> str:
    kind = value.type.tensor_type.elem_type
    return helper.tensor_dtype_to_np_dtype(kind).name if kind else value.type.WhichOneof("value") or "unknown"


def _shape(value: onnx.ValueInfoProto) -> tuple[int | str, ...]:
    return tuple(
        dimension.dim_value if dimension.HasField("dim_value") else dimension.dim_param or "?"
        for dimension in value.type.tensor_type.shape.dim
    )


def bodies_of(operator: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs in the attributes of an operator."""
    for attribute in operator.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _graphs_of(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    yield graph
    for operator in graph.node:
        for body in bodies_of(operator):
            yield from _graphs_of(body)


def name_operators(operators: Iterable[onnx.NodeProto]) -> int:
    """Names operators that have no name, or the name of an earlier one; the others keep theirs.

    HTP metadata knows operators by name.

    Args:
        operators: the operators, which are changed.

    Returns:
        How many got a new name.
    """
    operators = list(operators)
    taken = {operator.name for operator in operators}
    numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: count(1))
    seen: set[str] = set()
    renamed = 0
    for operator in operators:
        if not operator.name or operator.name in seen:
            stem = operator.name or operator.op_type
            operator.name = free_name(stem, taken, numbers[stem])
            taken.add(operator.name)
            renamed += 1
        seen.add(operator.name)
    return renamed


def separate_outputs(graph: onnx.GraphProto) -> None:
    """Gives each output a tensor of its own: a model may return one twice, and outputs are asked for by name.

    Args:
        graph: the main graph, which is changed.
    """
    made = {name for operator in graph.node for name in operator.output}
    taken = made | {value.name for value in graph.input} | {weight.name for weight in graph.initializer}
    seen: set[str] = set()
    for value in graph.output:
        if value.name in seen:
            copy = free_name(f"{value.name}_1", taken)
            graph.node.append(helper.make_node("Identity", [value.name], [copy], name=f"Identity_of_{copy}"))
            value.name = copy
            taken.add(copy)
        seen.add(value.name)


def name_outputs(graph: onnx.GraphProto, names: Sequence[str | None], weights: Collection[str]) -> None:
    """Names the outputs of a graph, wherever their tensors are used.

    An output that is an input or a weight keeps its name. If an input or a weight has the wanted name, the output gets
    a number; if another tensor has it, that tensor gets the number.

    Args:
        graph: the main graph, which is changed.
        names: for each output its name, or None to keep the exporter's name.
        weights: names of parameters, which stay.
    """
    if len(names) != len(graph.output):
        return
    inputs = {value.name for value in graph.input}
    fixed = inputs | {weight.name for weight in graph.initializer}
    made = {name for body in _graphs_of(graph) for operator in body.node for name in operator.output}
    renamed: dict[str, str] = {}
    for value, name in zip(graph.output, names, strict=True):
        if name is not None and value.name not in inputs and value.name not in weights and value.name not in renamed:
            renamed[value.name] = free_name(name, fixed | {*renamed.values()})
    for name in [*renamed.values()]:
        if name in made and name not in renamed:
            renamed[name] = free_name(f"{name}_1", fixed | made | {*renamed.values()})
    _rename(graph, renamed)


def _rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    for body in _graphs_of(graph):
        for weight in body.initializer:
            weight.name = names.get(weight.name, weight.name)
        for value in body.output:
            value.name = names.get(value.name, value.name)
        for value in body.value_info:
            value.name = names.get(value.name, value.name)
        for operator in body.node:
            for tensors in (operator.input, operator.output):
                for position, name in enumerate(tensors):
                    if name in names:
                        tensors[position] = names[name]


def tag_operators(tags: Iterable[tuple[onnx.NodeProto, str]]) -> None:
    """Writes the tag of its module into each operator."""
    for operator, tag in tags:
        operator.metadata_props.add(key=TAG_KEY, value=tag)


def record_inputs(model: onnx.ModelProto, examples: Iterable[ExampleRecord]) -> None:
    """Writes the descriptions of the example inputs as WinML's exporter does, in the order of the graph.

    Args:
        model: the model, which is changed.
        examples: the inputs; none for a program, which has its own.
    """
    named = {example.name: example for example in examples}
    told = [_example(named[value.name]) for value in model.graph.input if value.name in named]
    if told:
        helper.set_model_props(model, {**{p.key: p.value for p in model.metadata_props}, INPUTS_KEY: json.dumps(told)})


def _example(example: ExampleRecord) -> dict[str, Json]:
    told: dict[str, Json] = {"name": example.name, "dtype": example.dtype, "shape": [*example.shape]}
    return told if example.span is None else told | {"value_range": [*example.span]}


def gather_data(model: onnx.ModelProto, folder: Path, name: str) -> None:
    """Moves weights that an exporter wrote into separate files into one file, as PyTorch's newer exporter does.

    Args:
        model: the model, which is changed.
        folder: where the exporter wrote; each file is removed after it was copied.
        name: of the one data file.

    Raises:
        StorageError: no space, or a broken disk.
    """
    weights = [
        weight
        for graph in _graphs_of(model.graph)
        for weight in graph.initializer
        if weight.data_location == onnx.TensorProto.EXTERNAL
    ]
    locations = {weight.name: _external(weight)["location"] for weight in weights}
    if {*locations.values()} <= {name}:
        return
    target = folder / name
    try:
        with target.open("wb") as file:
            for weight in weights:
                source = folder / locations[weight.name]
                file.seek(-file.tell() % _ALIGNMENT, os.SEEK_CUR)
                offset = file.tell()
                with source.open("rb") as data:
                    shutil.copyfileobj(data, file)
                source.unlink()
                _set_external(weight, name, offset, file.tell() - offset)
    except OSError as error:
        raise writing_failed(error, target) from error


def _external(weight: onnx.TensorProto) -> dict[str, str]:
    return {entry.key: entry.value for entry in weight.external_data}


def _set_external(weight: onnx.TensorProto, location: str, offset: int, length: int) -> None:
    del weight.external_data[:]
    for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
        weight.external_data.add(key=key, value=value)
