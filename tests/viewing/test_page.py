"""The page holds the whole model as data, asks nothing of a network, and shows what is built from `viewer/`."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

import graphml_onnx
from graphml_onnx.errors import OutputError, UsageError
from graphml_onnx.viewing.api import document_of
from tests.graph.test_inspection import damaged
from tests.viewing import models

ROOT = Path(__file__).parents[2]
ASSETS = ROOT / "graphml_onnx/viewing"
VIEWER = ROOT / "viewer"


def data_of(page: Path) -> dict[str, Any]:
    found = re.findall(
        r'<script type="application/octet-stream" id="data">([A-Za-z0-9+/=]*)</script>', page.read_text()
    )
    assert len(found) == 1
    document: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(found[0])))
    return document


def summed(deltas: list[int]) -> list[int]:
    total = 0
    return [total := total + delta for delta in deltas]


def test_columns_tell_nodes_tensors_and_parameters(tmp_path: Path) -> None:
    result = graphml_onnx.view(models.layers(tmp_path / "m.onnx"), tmp_path / "m.html", stats=True)
    data = data_of(result.page)
    strings = data["strings"]
    names = [strings[number] for number in summed(data["name"])]
    assert names[:6] == ["layers", "encoder", "layer.0", "linear", "act", "layer.1"]
    operators = [i for i, kind in enumerate(data["kind"]) if kind == 1]
    assert len(operators) == result.operators == 11
    assert {strings[data["type"][i]] for i in operators} == {"MatMul", "Elu", "Add", "Constant", "ReduceMean"}
    assert names[data["parent"][operators[0]]] == "linear"
    assert names[data["parameterOwner"][0]] == "linear"
    assert strings[data["parameterType"][0]] == "FLOAT[4, 4]"
    assert data["macs"][operators[0]] == 2 * 4 * 4
    statistics = data["statistics"][1]
    assert (statistics["min"], statistics["max"], sum(statistics["histogram"])) == (1.0, 1.0, 16)
    assert data["formal"][str(strings.index("ReduceMean"))] == ["data", "axes"]


def test_attributes_that_operators_share_are_read_once(tmp_path: Path) -> None:
    with graphml_onnx.open(models.layers(tmp_path / "m.onnx")) as graph:
        data = document_of(graph)
        elus = graph.operators_of_type("Elu")
        assert [operator._attributes is not None for operator in elus] == [True, *[False] * (len(elus) - 1)]
    sets = {data["attributes"][i] for i, kind in enumerate(data["type"]) if data["strings"][kind] == "Elu"}
    assert len(sets) == 1
    name, value = data["attributeSets"][sets.pop()]
    assert (data["strings"][name], data["strings"][value]) == ("alpha", "0.5")


def test_inputs_are_tensors_made_before_or_after(tmp_path: Path) -> None:
    data = data_of(graphml_onnx.view(models.layers(tmp_path / "m.onnx")).page)
    tensors = [data["strings"][number] for number in summed(data["tensorName"])]
    made, at, taken = 0, 0, []
    outputs = iter(summed(data["outputs"]))
    for inputs, count in zip(data["inputCount"], data["outputCount"], strict=True):
        row = data["inputs"][at : at + inputs]
        taken += [tensors[made - back if back > 0 else made - back - 1] for back in row]
        at += inputs
        made += sum(next(outputs) >= 0 for _ in range(count))
    assert taken[:4] == ["x", "encoder.layer.0.linear.weight", "/encoder/layer.0/mm", "x"]
    assert taken[-2:] == ["axes", "y"]


def test_bodies_are_in_their_operator_and_functions_in_a_box(tmp_path: Path) -> None:
    data = data_of(graphml_onnx.view(models.bodies_and_functions(tmp_path / "m.onnx")).page)
    names = [data["strings"][number] for number in summed(data["name"])]
    kinds = data["kind"]
    bodies = [i for i, kind in enumerate(kinds) if kind == 2]
    assert [names[data["parent"][i]] for i in bodies] == ["choice", "choice"]
    function = kinds.index(3)
    assert names[function] == "local::Twice"
    assert names[data["parent"][function]] == "functions"
    assert [names[i] for i in data["calls"]] == ["first", "local::Twice", "second", "local::Twice"]


def test_graphml_shows_the_same_as_its_model(tmp_path: Path) -> None:
    model = models.layers(tmp_path / "m.onnx")
    graphml_onnx.encode(model, tmp_path / "m.graphml")
    of_model, of_graph = (
        data_of(graphml_onnx.view(path, tmp_path / f"{i}.html").page)
        for i, path in enumerate((model, tmp_path / "m.graphml"))
    )
    changing = ("model", "rules", "parameterFile", "strings", "name", "type", "tensorName", "tensorType", "formal")
    for key in of_model.keys() - set(changing):
        if not key.startswith("parameter"):
            assert of_model[key] == of_graph[key], key


def test_policy_allows_the_pages_own_script_and_style_alone(tmp_path: Path) -> None:
    page = graphml_onnx.view(models.hostile(tmp_path / "m.onnx")).page.read_text()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    rules = dict(rule.strip().split(" ", 1) for rule in policy[1].split(";"))
    assert rules.pop("default-src") == "'none'"
    for kind, pattern in (("script-src", r"<script>(.*?)</script>"), ("style-src", r"<style>(.*?)</style>")):
        content = re.findall(pattern, page, re.DOTALL)
        assert len(content) == 1
        digest = base64.b64encode(hashlib.sha256(content[0].encode()).digest()).decode()
        assert rules.pop(kind) == f"'sha256-{digest}'"
    assert rules == {"img-src": "blob: data:", "base-uri": "'none'", "form-action": "'none'"}
    assert page.count("<script") == 2  # the data and the viewer, whatever the model's names are
    assert "alert(1)" not in page


def test_page_is_the_same_each_time_and_small(tmp_path: Path) -> None:
    model = models.layers(tmp_path / "m.onnx")
    one, other = (graphml_onnx.view(model, tmp_path / name).page.read_bytes() for name in ("a.html", "b.html"))
    assert one == other
    assert len(one) < 400_000


def test_a_change_has_its_place_in_the_picture(tmp_path: Path) -> None:
    old, new = models.layers(tmp_path / "old.onnx"), models.layers(tmp_path / "new.onnx", 4)
    result = graphml_onnx.view(new, diff=old)
    data = data_of(result.page)
    names = [data["strings"][number] for number in summed(data["name"])]
    assert result.differences == len(data["changes"])
    added = [change for change in data["changes"] if change["kind"] == "added" and change["subject"] == "operator"]
    assert {names[change["node"]] for change in added} == {
        f"/encoder/layer.3/{n}" for n in ("linear/MatMul", "act/Elu", "Add")
    }
    assert data["other"] == "old.onnx"


FIXTURES = [
    path for folder in ("htp", "real", "small") for path in sorted((ROOT / "fixtures" / folder).rglob("*.onnx"))
]


@pytest.mark.parametrize("path", FIXTURES, ids=lambda path: f"{path.parent.name}-{path.stem}")
@pytest.mark.filterwarnings("ignore:overflow")  # of the largest float64, in its mean
def test_every_fixture_has_a_page_with_statistics(path: Path, tmp_path: Path) -> None:
    data = data_of(graphml_onnx.view(path, tmp_path / "m.html", stats=True).page)
    assert len(data["parent"]) == len(data["kind"]) == len(data["name"]) == len(data["inputCount"])
    assert len(data["statistics"]) == len(data["parameterTensor"])


def test_a_weight_that_cannot_be_read_has_no_statistics_and_the_page_is_there(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(damaged().SerializeToString())
    result = graphml_onnx.view(tmp_path / "m.onnx", stats=True)
    assert [statistics["count"] for statistics in data_of(result.page)["statistics"]] == [6, 0, 0, 0]
    told = [f"the parameter '{name}' cannot be read" for name in ("enc.1.short", "enc.2.long", "enc.3.gone")]
    assert [finding.partition(",")[0] for finding in result.findings] == told


def test_start_is_a_module(tmp_path: Path) -> None:
    model = models.layers(tmp_path / "m.onnx")
    data = data_of(graphml_onnx.view(model, module="encoder.layer.1").page)
    assert data["strings"][summed(data["name"])[data["start"]]] == "layer.1"
    with pytest.raises(UsageError, match=r"no module 'encoder\.layer\.9'"):
        graphml_onnx.view(model, tmp_path / "other.html", module="encoder.layer.9")
    assert not (tmp_path / "other.html").exists()


def test_existing_page_is_kept(tmp_path: Path) -> None:
    model = models.layers(tmp_path / "m.onnx")
    page = tmp_path / "m.onnx.html"
    page.write_text("mine")
    with pytest.raises(OutputError):
        graphml_onnx.view(model)
    assert page.read_text() == "mine"
    assert graphml_onnx.view(model, overwrite=True).page == page


def test_open_graph_can_be_shown(tmp_path: Path) -> None:
    with graphml_onnx.open(models.layers(tmp_path / "m.onnx")) as graph:
        assert graphml_onnx.view(graph, tmp_path / "page.html").modules == len(graph.modules)
        with pytest.raises(UsageError):
            graphml_onnx.view(graph, tmp_path / "other.html", sizes={"batch": 1})


def test_pictures_need_a_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError, match="drawing SVG needs Chromium or Chrome"):
        graphml_onnx.view(models.layers(tmp_path / "m.onnx"), tmp_path / "m.svg")
    assert not (tmp_path / "m.svg").exists()


@pytest.mark.parametrize(("name", "remedy"), [("m.PDF", "print the page"), ("m.jpg", r"end the name in \.svg")])
def test_other_formats_of_pictures_are_refused(tmp_path: Path, name: str, remedy: str) -> None:
    with pytest.raises(UsageError, match="view draws SVG and PNG") as caught:
        graphml_onnx.view(models.layers(tmp_path / "m.onnx"), tmp_path / name)
    assert caught.match(remedy)
    assert not (tmp_path / name).exists()


def test_notebook_shows_a_frame_that_the_page_cannot_leave(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with graphml_onnx.open(models.hostile(tmp_path / "m.onnx")) as graph:
        frame = graph._repr_html_()
        assert frame.startswith('<iframe sandbox="allow-scripts allow-downloads" ')
        assert len(re.findall('[<>"]', frame)) == 4 + 3 * 2  # its own tags and attributes, whatever the names are
        monkeypatch.setattr("graphml_onnx.viewing.api._MOST_IN_FRAME", 5)
        assert graph._repr_html_().startswith("<table>")


def test_bundle_is_that_of_the_sources() -> None:
    """After a change in `viewer/`, run `make viewer`, and commit what it builds."""
    digest = hashlib.sha256()
    sources = sorted(path.name for path in (VIEWER / "src").iterdir())
    for name in ["build.mjs", "package-lock.json", "tsconfig.json", *(f"src/{name}" for name in sources)]:
        digest.update(f"{name}\n".encode())
        digest.update((VIEWER / name).read_bytes())
    assert (ASSETS / "viewer.sha256").read_text().strip() == digest.hexdigest()


def test_bundle_is_built_again_the_same(tmp_path: Path) -> None:
    node = shutil.which("node")
    if node is None or not (VIEWER / "node_modules").is_dir():
        pytest.skip("Node.js or the packages of viewer/ are not there: run `make viewer`")
    subprocess.run([node, VIEWER / "build.mjs", tmp_path], check=True, timeout=300)
    for name in ("viewer.js", "viewer.css", "viewer.sha256"):
        assert (tmp_path / name).read_bytes() == (ASSETS / name).read_bytes()
