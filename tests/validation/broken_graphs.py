"""Sound graphs to break, and what is found in them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphml_onnx import encode, validate
from tests.editing import edits as editing
from tests.editing.edits import Text

if TYPE_CHECKING:
    from pathlib import Path

    from graphml_onnx import Finding, Layout, ParameterStrategy


class Broken:
    """A folder with the graph of a model that has a little of everything, and its sidecar.

    Attributes:
        path: the graph.
        text: its text, as encode wrote it.
    """

    def __init__(
        self, folder: Path, layout: Layout = "nested", parameters: ParameterStrategy = "sidecar", *, shown: bool = False
    ) -> None:
        (folder / "model.onnx").write_bytes(editing.model().SerializeToString())
        encoded = encode(
            folder / "model.onnx",
            folder / "graph.graphml",
            layout=layout,
            parameters=parameters,
            show_parameters=shown,
            overwrite=True,
        )
        self.path = encoded.graphml
        self.text = Text(self.path.read_text("utf-8"))

    @property
    def sidecar(self) -> Path:
        return self.path.with_suffix(".onnxdata")

    def found_in(self, text: Text | str) -> list[Finding]:
        """What is found in the graph with another text."""
        self.path.write_text(text if isinstance(text, str) else text.text, "utf-8")
        return validate(self.path)


def codes(findings: list[Finding]) -> set[str]:
    return {finding.code for finding in findings}


def of(findings: list[Finding], code: str) -> list[Finding]:
    return [finding for finding in findings if finding.code == code]
