"""In a sound graph nothing is found, in whatever layout, wherever its payloads are, whatever tool saved it."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from graphml_onnx import Layout, ParameterStrategy, encode, validate
from tests.common import seeds
from tests.editing import rewriting
from tests.validation.broken_graphs import Broken, codes

SMALL = Path(__file__).parents[2] / "fixtures" / "small"
LAYOUTS: tuple[Layout, ...] = ("nested", "flat", "plain")
STRATEGIES: tuple[ParameterStrategy, ...] = ("sidecar", "embedded", "reference")
KNOWN = {"if": {"tensor-shadowed"}}  # whose inner graphs do hide names
SAVED_BY_A_TOOL = {"keys-renumbered", "keys-of-other-tools"}


def models() -> dict[str, bytes]:
    return seeds.fixtures() | seeds.small_models() | {path.stem: path.read_bytes() for path in SMALL.glob("*.onnx")}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("parameters", STRATEGIES)
def test_nothing_is_found(tmp_path: Path, layout: Layout, parameters: ParameterStrategy) -> None:
    for name, data in models().items():
        (tmp_path / "model.onnx").write_bytes(data)
        metadata = seeds.FIXTURES / name / "model_htp_metadata.json"
        for shown in (False, True):
            graph = encode(
                tmp_path / "model.onnx",
                tmp_path / "graph.graphml",
                layout=layout,
                parameters=parameters,
                show_parameters=shown,
                metadata=metadata if metadata.exists() else None,
                overwrite=True,
            ).graphml
            found = validate(graph)
            assert codes(found) == KNOWN.get(name, set()), (name, found)


def test_nothing_is_found_with_data_files(tmp_path: Path) -> None:
    for file in ("model.onnx", "weights/first.bin", "weights/second.bin"):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).write_bytes((SMALL / "external_data" / file).read_bytes())
    for parameters in STRATEGIES:
        graph = encode(
            tmp_path / "model.onnx", tmp_path / "graph.graphml", parameters=parameters, overwrite=True
        ).graphml
        assert validate(graph) == []


def test_nothing_is_found_where_the_sidecar_is_elsewhere(broken: Broken) -> None:
    folder = broken.path.parent / "weights"
    folder.mkdir()
    broken.sidecar.rename(folder / broken.sidecar.name)
    assert validate(broken.path, parameter_folder=folder) == []


def test_nothing_is_found_in_onnx_s_own_models(tmp_path: Path) -> None:
    for name, data in list(seeds.onnx_files().items())[::6]:
        (tmp_path / "model.onnx").write_bytes(data)
        graph = encode(tmp_path / "model.onnx", tmp_path / "graph.graphml", overwrite=True).graphml
        assert validate(graph) == [], name


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("habit", rewriting.HABITS)
def test_a_tool_that_saved_it_is_no_error(tmp_path: Path, layout: Layout, habit: str) -> None:
    graph = Broken(tmp_path, layout).path
    graph.write_bytes(rewriting.rewritten(graph.read_bytes(), [habit], random.Random(habit)))
    found = validate(graph)
    assert codes(found) <= SAVED_BY_A_TOOL, found
    assert {finding.severity for finding in found} <= {"info"}


@pytest.mark.parametrize("layout", ["nested", "flat"])
@pytest.mark.parametrize("habit", rewriting.FILE_HABITS)
def test_a_file_that_was_written_otherwise_is_no_error(tmp_path: Path, layout: Layout, habit: str) -> None:
    graph = Broken(tmp_path, layout).path
    graph.write_bytes(rewriting.FILE_HABITS[habit](graph.read_bytes()))
    assert codes(validate(graph)) <= SAVED_BY_A_TOOL


def test_values_of_a_graph_in_a_node_are_not_those_of_the_node(broken: Broken) -> None:
    """Formats 1.1 to 1.3 have them, and so may other tools."""
    key = '<key id="scope" for="node"'
    text = broken.text.once(key, f'<key id="own" for="graph" attr.name="scope" attr.type="string"/>\n{key}')
    text = text.every('(<graph id="[^"]+:" edgedefault="directed">)', r"\1<data key='own'>twice</data>")
    assert codes(broken.found_in(text)) <= SAVED_BY_A_TOOL


def test_a_fault_is_found_whatever_tool_saved_it(broken: Broken) -> None:
    text = broken.text.set("/first/relu", "op_type", "Nonsense").set("/first/add", "inputs", '["x","w"]')
    wanted = {"edge-mismatch", "edited", "onnx-checker"}
    assert codes(broken.found_in(text)) == wanted
    saved = broken.path.read_bytes()
    habits = [name for name in rewriting.HABITS if name != "indented"]
    broken.path.write_bytes(rewriting.with_prefixes(rewriting.rewritten(saved, habits, random.Random(1))))
    assert codes(validate(broken.path)) - SAVED_BY_A_TOOL == wanted
