"""Weights that old models list among their inputs: not drawn as inputs, but kept with their places in the list.

Source: docs/format.md, section "Nodes".
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, cast

from graphml_onnx.codec.numbers import NumberError
from graphml_onnx.codec.protojson import FieldError
from graphml_onnx.codec.scalars import list_of
from graphml_onnx.onnxfile import schema
from graphml_onnx.support.strictjson import JsonError, parse
from graphml_onnx.support.text import json_string

if TYPE_CHECKING:
    from collections.abc import Iterable

    import onnx
    from google.protobuf.message import Message

    from graphml_onnx.codec.protojson import MessageCodec

KEY = "weight_inputs"


class WeightInput(NamedTuple):
    """A weight that a graph lists among its inputs.

    Attributes:
        after: the identity of the input before it, or of the graph.
        name: the tensor.
        content: the serialised ValueInfoProto.
    """

    after: str
    name: bytes
    content: bytes


def weight_inputs_of(graph: onnx.GraphProto) -> frozenset[int]:
    """The places of the inputs that are also initializers."""
    own = {tensor.name for tensor in graph.initializer}
    own.update(sparse.values.name for sparse in graph.sparse_initializer)
    return frozenset(index for index, value in enumerate(graph.input) if value.name in own) if own else frozenset()


def weight_inputs_text(inputs: Iterable[tuple[str, onnx.ValueInfoProto]], codec: MessageCodec) -> str:
    """The text of the key: one line for each, with the identity of the node before it."""
    lines = [
        f'{{"after":{json_string(after)},"value":{codec.write(cast("Message", value))}}}' for after, value in inputs
    ]
    return f"[{lines[0]}]" if len(lines) == 1 else "[\n" + ",\n".join(lines) + "\n]"


def read_weight_inputs(text: str, codec: MessageCodec) -> list[WeightInput]:
    """Reads the text back; the inverse of `weight_inputs_text`.

    Raises:
        FieldError: it is malformed.
    """
    found = []
    message = schema.message_class("ValueInfoProto")
    try:
        for place, item in enumerate(list_of(parse(text))):
            if not isinstance(item, dict) or item.keys() != {"after", "value"}:
                raise FieldError("must have the members after and value, and no others", f"[{place}]")
            after = item["after"]
            if not isinstance(after, str):
                raise FieldError("after: must be a string", f"[{place}]")
            value = message()
            try:
                codec.read(value, item["value"])
            except FieldError as error:
                raise error.within(f"[{place}].value") from None
            name = cast("bytes", cast("onnx.ValueInfoProto", value).name)
            found.append(WeightInput(after, name, value.SerializeToString()))
    except FieldError as error:
        raise error.within(KEY) from None
    except (NumberError, JsonError) as error:
        raise FieldError(str(error), KEY) from None
    except RecursionError:
        raise FieldError("is nested too deeply", KEY) from None
    return found
