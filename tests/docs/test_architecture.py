"""docs/architecture.md shows the imports as they are, and they run downwards.

``G2O_UPDATE_GOLDEN=1`` writes the diagram anew.
"""

from __future__ import annotations

import re

from tests.docs import documents, imports

PAGE = documents.ROOT / "docs" / "architecture.md"
_DIAGRAM = re.compile(r"(?<=```mermaid\ngraph TD\n)(.*?)(?=```)", re.DOTALL)


def test_the_diagram_shows_every_import_between_packages() -> None:
    drawn = "".join(f"  {one} --> {other}\n" for one, other in sorted(imports.packages()))
    text = PAGE.read_text("utf-8")
    if documents.UPDATE:
        PAGE.write_text(_DIAGRAM.sub(drawn, text), "utf-8")
    found = _DIAGRAM.search(PAGE.read_text("utf-8"))
    assert found is not None
    assert found[1] == drawn


def test_every_package_has_a_row() -> None:
    packages = PAGE.read_text("utf-8").partition("\n## ")[0]
    rows = set(re.findall(r"^\| `(\w+)/` \|", packages, re.MULTILINE))
    assert rows == {path.parent.name for path in imports.ROOT.glob("*/__init__.py")} | {"cli"}


def test_every_room_of_the_export_has_a_row() -> None:
    section = PAGE.read_text("utf-8").partition("## The way of an export")[2].partition("\n## ")[0]
    rooms = [path for path in (imports.ROOT / "exporting").iterdir() if path.name not in ("__init__.py", "__pycache__")]
    rows = re.findall(r"^\| `(\w+/?)` \|", section, re.MULTILINE)
    assert sorted(rows) == sorted(f"{path.name}/" if path.is_dir() else path.stem for path in rooms)


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert imports.circles(imports.modules()) == []


def test_packages_import_downwards() -> None:
    graph: dict[str, set[str]] = {}
    for one, other in imports.packages():
        graph.setdefault(one, set()).add(other)
    assert imports.circles(graph) == []
    assert not graph.get("graphml", set()) - {"files"}  # knows nothing of ONNX
    assert not {"graphml", "hierarchy", "codec"} & graph.get("onnxfile", set())  # nor the file of XML


def test_a_circle_would_be_found() -> None:
    assert imports.circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [{"a", "b", "c"}]
