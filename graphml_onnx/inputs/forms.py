"""JSON arguments of a user, checked against a schema."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

from graphml_onnx.errors import UsageError, reading_failed
from graphml_onnx.hierarchy.schema import explained
from graphml_onnx.support.strictjson import JsonError, parse

if TYPE_CHECKING:
    from collections.abc import Callable

    from graphml_onnx.support.strictjson import Json

JsonSource: TypeAlias = "str | os.PathLike[str] | Mapping[str, object]"
"""A JSON file, or its content."""


@dataclass(frozen=True, slots=True)
class JsonForm:
    """A JSON form that was read.

    Attributes:
        value: the object.
        file: the file, or the argument if it is a mapping in memory.
    """

    value: dict[str, Json]
    file: str

    def wrong(self, message: str, place: str | None = None, remedy: str | None = None) -> UsageError:
        """The error for a value that a schema cannot check."""
        return UsageError(message, file=self.file, place=place, remedy=remedy)


def read_form(source: JsonSource, argument: str, schema: Mapping[str, object]) -> JsonForm:
    """Reads a JSON form.

    Args:
        source: a file, or its content.
        argument: the name of the argument, for errors of a mapping.
        schema: a JSON Schema of an object.

    Raises:
        InputError: the file is missing or may not be read.
        UsageError: it is not UTF-8, not strict JSON, or violates the schema; the place is the path of keys.
    """
    from fastjsonschema import JsonSchemaValueException

    if isinstance(source, Mapping):
        form = JsonForm(cast("dict[str, Json]", _as_json(source)), argument)
    else:
        name = os.fspath(source)
        try:
            value = parse(Path(source).read_bytes().decode("utf-8"))
        except OSError as error:
            raise reading_failed(error, source) from error
        except UnicodeDecodeError as error:
            raise UsageError("is not UTF-8 text", file=name, place=f"byte {error.start}") from None
        except (JsonError, ValueError) as error:  # ValueError: a NUL in the name
            raise UsageError(str(error), file=name) from None
        form = JsonForm(cast("dict[str, Json]", value), name)
    try:
        _validator(json.dumps(schema))(form.value)
    except JsonSchemaValueException as error:
        raise form.wrong(*explained(error, form.value)) from None
    return form


@cache
def _validator(schema: str) -> Callable[[Json], object]:
    from fastjsonschema import compile as compiled

    validator: Callable[[Json], object] = compiled(json.loads(schema))
    return validator


def _as_json(value: object) -> object:
    """A mapping in memory in JSON's types: lists for tuples, strings for keys."""
    if isinstance(value, Mapping):
        return {str(key): _as_json(member) for key, member in value.items()}
    return [_as_json(member) for member in value] if isinstance(value, list | tuple) else value
