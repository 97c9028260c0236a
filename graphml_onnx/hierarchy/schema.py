"""Checks HTP metadata against its JSON Schema, ``htp_metadata.schema.json``, which defines what is valid."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from graphml_onnx.errors import MetadataError
from graphml_onnx.hierarchy.members import written
from graphml_onnx.support.notices import quoted

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastjsonschema import JsonSchemaValueException

    from graphml_onnx.hierarchy.members import KeyPath
    from graphml_onnx.support.strictjson import Json

Part: TypeAlias = Literal["document", "hierarchy", "module_facts", "sections"]
"""What a value is checked against: the whole schema, or one of its definitions."""

_NAMES: Final = {
    "object": "an object",
    "array": "an array",
    "string": "a string",
    "number": "a number",
    "integer": "an integer",
    "boolean": "true or false",
}


def check(value: Json, part: Part = "document", path: KeyPath | None = None) -> None:
    """Checks a value against the schema.

    A reader must use the definitions other than ``document``. They do not recurse, so they work for modules of any
    depth and keys of any length.

    Args:
        value: parsed JSON, by default the whole of the metadata.
        part: the definition that it must match.
        path: keys that lead to it, for the message.

    Raises:
        MetadataError: it is something else; the place is the path of keys to the first value that is wrong.
    """
    from fastjsonschema import JsonSchemaValueException

    try:
        try:
            _validator(part, explains=False)(value)
        except JsonSchemaValueException:
            _validator(part, explains=True)(value)
    except JsonSchemaValueException as error:
        raise _refusal(error, value, path) from None
    except RecursionError:
        raise MetadataError("modules are nested too deeply", place=written(path)) from None


@cache
def _validator(part: Part, *, explains: bool) -> Callable[[Json], object]:
    """Compiles a part of the schema. The slower code with detailed errors is only compiled when there is an error.

    That code repeats the schema in each of its rules and takes two to three times as long to compile, which would be
    most of the time for small metadata.
    """
    from fastjsonschema import compile as compiled

    text = resources.files("graphml_onnx.hierarchy").joinpath("htp_metadata.schema.json").read_text(encoding="utf-8")
    schema = json.loads(text)
    validator: Callable[[Json], object] = compiled(
        schema if part == "document" else {"$ref": f"#/$defs/{part}", "$defs": schema["$defs"]},
        detailed_exceptions=explains,
    )
    return validator


def _refusal(error: JsonSchemaValueException, value: Json, path: KeyPath | None) -> MetadataError:
    message, place = explained(error, value, path)
    return MetadataError(message, place=place)


def explained(error: JsonSchemaValueException, value: Json, path: KeyPath | None = None) -> tuple[str, str | None]:
    """What is wrong and where, for an error of the validator. Its own message would show the whole value.

    Args:
        error: from a validator that gives detailed exceptions.
        value: what was checked against the schema.
        path: keys that lead to it.
    """
    place = _place(value, (error.name or "").removeprefix("data"), path)
    if error.rule == "additionalProperties":
        known = error.definition.get("properties", {})
        unknown = next(key for key in error.value if key not in known)
        return f"is no known key; the keys are {', '.join(sorted(known))}", written((place, unknown))
    return _message(error.rule or "", error.rule_definition, error.value), written(place)


def _message(rule: str, wanted: Any, value: Any) -> str:
    match rule:
        case "required":
            return f"has no {next(key for key in wanted if key not in value)!r}"
        case "type":
            kinds = [wanted] if isinstance(wanted, str) else [kind for kind in wanted if kind != "null"]
            return f"must be {' or '.join(_NAMES[kind] for kind in kinds)}, but is {_kind(value)}"
        case "enum":
            return f"must be {'one of ' if len(wanted) > 1 else ''}{', '.join(map(json.dumps, wanted))}"
        case "minimum":
            return f"must be at least {wanted}"
        case "maximum":
            return f"must be at most {wanted}"
        case "minLength" | "minProperties":
            return "must not be empty"
        case "minItems" | "maxItems":
            return f"must have {wanted} items, but has {len(value)}"
        case _:
            return f"must match {wanted}, but is {quoted(str(value))}"


def _place(value: Json, name: str, path: KeyPath | None) -> KeyPath | None:
    """Splits the keys that the validator joins as ``.key.other[0]``; of keys that fit, the longest is meant."""
    if isinstance(value, list):
        index, _, rest = name[1:].partition("]")
        return _place(value[int(index)], rest, (path, int(index))) if index else path
    if isinstance(value, dict):
        fitting = [key for key in value if f"{name}.".startswith((f".{key}.", f".{key}["))]
        if fitting:
            key = max(fitting, key=len)
            return _place(value[key], name[len(key) + 1 :], (path, key))
    return path


def _kind(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case str():
            return "a string"
        case list():
            return "an array"
        case _:
            return "an object"
