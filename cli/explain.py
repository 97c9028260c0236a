"""``g2o explain``: explains the code of a finding."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from . import options, show
from .wording import as_options

if TYPE_CHECKING:
    from graphml_onnx.support.strictjson import Json
    from graphml_onnx.validation.codes import Code

EXAMPLES = """\b
Examples:
  g2o explain edge-mismatch
  g2o explain
  g2o explain --json
"""


def explain(
    codes: Annotated[
        list[str] | None, typer.Argument(metavar="[CODE]...", help="Codes of findings. [default: list all]")
    ] = None,
    json: options.JsonOption = False,
    debug: options.DebugOption = False,
) -> None:
    """Explain the code of a finding: cause, effect, example, remedy.

    Without CODE, list all codes with their severity.
    """
    from graphml_onnx.validation import codes as table

    found = [table.explain(name) for name in codes] if codes else [*table.CODES.values()]
    if json:
        show.document({"codes": [_document(code) for code in found]})
    elif codes:
        show.out("\n\n".join(_text(code) for code in found))
    else:
        rows = [[code.name, code.layer, code.severity, code.meaning] for code in found]
        show.out(show.columns(["code", "layer", "severity", "when"], rows, left=4))


def _text(code: "Code") -> str:
    rows = [
        ("code", f"{code.name} ({code.severity}, layer {code.layer})"),
        ("when", code.meaning),
        ("why", code.why),
        ("example", code.example),
        ("remedy", as_options(code.remedy)),
    ]
    return show.table(rows)


def _document(code: "Code") -> "dict[str, Json]":
    return asdict(code) | {"remedy": as_options(code.remedy)}
