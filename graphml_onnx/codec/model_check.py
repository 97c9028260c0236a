"""Runs ONNX's checker and shape inference on a model, and words their complaints so that they name the operator."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import onnx

from graphml_onnx.codec.calls import problem_of_calls
from graphml_onnx.codec.node_names import called
from graphml_onnx.onnxfile import schema

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from google.protobuf.message import Message

CHECKER = "onnx.checker"
INFERENCE = "shape inference"

_DATA_FIELDS = (
    "raw_data",
    "float_data",
    "int32_data",
    "int64_data",
    "double_data",
    "uint64_data",
    "external_data",
    "data_location",
)

# How onnx names the operator of a complaint: the checker in its sentence, or in the innermost context after it; shape
# inference before each complaint. The newlines are those of onnx, and of names.
_IN_SENTENCE = re.compile(r" of node: \nname: (?P<name>.*) OpType: (?P<op_type>\S*)\n is", re.DOTALL)
_IN_CONTEXT = re.compile(
    r"==> Context: Bad node spec for node\. Name: (?P<name>.*?) OpType: (?P<op_type>\S*)", re.DOTALL
)
_IN_FRONT = re.compile(r"\(op_type:(?P<op_type>[^,)]*)(?:, node name: (?P<name>.*?))?\): ")
_CLASS = re.compile(r"\[\w+Error\] (?:Inference error\(s\): )?")


@dataclass(frozen=True, slots=True)
class Complaint:
    """A complaint about a model.

    Attributes:
        source: `CHECKER` or `INFERENCE`.
        message: what is wrong, in one line.
        op_type: type of the operator that it is about; None if it is not about an operator.
        name: name of that operator; empty if it has none.
    """

    source: str
    message: str
    op_type: str | None = None
    name: str = ""

    def line(self, lines: Mapping[tuple[str | None, str], Sequence[int]]) -> int | None:
        """The line of the operator that it is about; None if that is not clear.

        Args:
            lines: lines of operators by type and name; several may have the same.
        """
        at = lines.get((self.op_type, self.name), ())
        return at[0] if len(at) == 1 else None

    def text(self, place: str | None = None) -> str:
        """The complaint in one line, with the place of the operator if it is known."""
        operator = None
        if self.op_type is not None:
            operator = called(self.op_type, self.name) if self.name else f"{self.op_type} without a name"
        return ": ".join(part for part in (self.source, place, operator, self.message) if part)

    __str__ = text


def check_model(
    model: onnx.ModelProto | str | os.PathLike[str], *, infer_shapes: bool = False
) -> tuple[Complaint, ...]:
    """Runs ``onnx.checker``, and optionally strict shape inference, on a model.

    Args:
        model: a model, or an ONNX file of any size, with its external data beside it.
        infer_shapes: whether to also infer types and shapes, and compare them with those in the model.

    Returns:
        The complaints; the checker stops at its first one. A model that cannot be checked because it is too large or
        damaged gives a complaint too.
    """
    checked = model if isinstance(model, onnx.ModelProto) else str(Path(model))
    complaints = _complaints(lambda: onnx.checker.check_model(checked), _of_checker)
    if infer_shapes:
        complaints += _complaints(lambda: _infer(checked), _of_inference)
    return complaints


def check_skeleton(skeleton: bytes, nonce: bytes) -> tuple[Complaint, ...]:
    """Runs ``onnx.checker`` on a model whose payloads were not read.

    The checker compares sizes of tensors, and a marker is shorter than its payload. So tensors with payloads are shown
    to it as empty, and so are those with external data, which it would look for on disk.

    Args:
        skeleton: the model.
        nonce: the first half of the markers in it.

    Raises:
        ValueError: protobuf cannot read the skeleton.
    """
    model = schema.parse_model(skeleton)
    for tensor in _tensors(cast("Message", model)):
        if tensor.data_location == onnx.TensorProto.EXTERNAL or nonce in tensor.SerializeToString():
            _empty(tensor)
    shown = onnx.ModelProto()
    shown.MergeFromString(model.SerializeToString())
    return check_model(shown)


def _tensors(message: Message) -> Iterator[onnx.TensorProto]:
    if schema.message_name(schema.descriptor_of(message)) == "TensorProto":
        yield cast("onnx.TensorProto", message)
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for item in value if field.is_repeated else (value,):
                yield from _tensors(item)


def _empty(tensor: onnx.TensorProto) -> None:
    for name in _DATA_FIELDS:
        tensor.ClearField(name)
    tensor.ClearField("dims")
    tensor.dims.append(0)


def _infer(model: onnx.ModelProto | str) -> None:
    read = model if isinstance(model, onnx.ModelProto) else onnx.load(model, load_external_data=False)
    if (problem := problem_of_calls(read)) is not None:
        raise ValueError(problem)
    del read  # with the weights in it
    if isinstance(model, onnx.ModelProto):
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
        return
    with tempfile.TemporaryDirectory(prefix="g2o-shapes-") as folder:
        inferred = str(Path(folder) / "inferred.onnx")
        onnx.shape_inference.infer_shapes_path(model, inferred, check_type=True, strict_mode=True, data_prop=True)


def _complaints(ask: Callable[[], object], read: Callable[[str], Iterator[Complaint]]) -> tuple[Complaint, ...]:
    try:
        ask()
    except Exception as error:  # noqa: BLE001 what C++ throws has no common class, and none of it may get out
        return tuple(read(str(error) or type(error).__name__))
    return ()


def _of_checker(text: str) -> Iterator[Complaint]:
    found = _IN_SENTENCE.search(text)
    if found is not None:
        sentence = f"{text[: found.start()]} is{text[found.end() :]}"
    else:
        found = _IN_CONTEXT.search(text)
        sentence = text.partition("==> Context:")[0]
    yield Complaint(CHECKER, _one_line(sentence), **_operator(found))


def _of_inference(text: str) -> Iterator[Complaint]:
    starts = [*_IN_FRONT.finditer(text)]
    if not starts:
        yield Complaint(INFERENCE, _one_line(_CLASS.sub("", text)))
    ends = [start.start() for start in starts[1:]] + [len(text)]
    for start, end in zip(starts, ends, strict=False):
        message = _one_line(_CLASS.sub("", text[start.end() : end]))
        if message:  # otherwise it is about a body, and a complaint about an operator in it follows
            yield Complaint(INFERENCE, message, **_operator(start))


def _operator(found: re.Match[str] | None) -> dict[str, str]:
    return found.groupdict("") if found is not None else {}


def _one_line(text: str) -> str:
    return " ".join(text.split())
