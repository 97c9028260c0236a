"""What an export writes: the files and what is in them, all of them or none; and a GraphML that fails."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import graphml_onnx
from tests.common.command import contents

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from tests.export.tiny_models import Heavy, heavy, mixed  # noqa: E402

EXPORTERS = ("dynamo", "torchscript")
SPECS = {"features": {"shape": [2, 64], "dtype": "float32"}, "scale": {"shape": [64], "dtype": "float32"}}


def export_heavy(folder: Path, **options: Any) -> Any:
    return graphml_onnx.export(heavy(), folder / "model.onnx", **({"input_specs": SPECS} | options))


def outputs_of(model: Path, feed: dict[str, Any]) -> list[np.ndarray[Any, Any]]:
    session = onnxruntime.InferenceSession(str(model), providers=["CPUExecutionProvider"])
    return session.run(None, feed)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_the_onnx_gives_what_pytorch_gives(tmp_path: Path, exporter: Any) -> None:
    model, x = mixed()
    graphml_onnx.export(model, tmp_path / "model.onnx", inputs=x, exporter=exporter)

    with torch.no_grad():
        expected = model.eval()(x).numpy()
    (feed,) = (value.name for value in onnx.load(tmp_path / "model.onnx").graph.input)
    np.testing.assert_allclose(outputs_of(tmp_path / "model.onnx", {feed: x.numpy()})[0], expected, atol=1e-5)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_all_files_have_their_names_by_convention(tmp_path: Path, exporter: Any) -> None:
    result = export_heavy(tmp_path, exporter=exporter, with_report=True, with_graphml=True)

    assert set(contents(tmp_path)) == {
        "model.onnx",
        "model_htp_metadata.json",
        "model_htp_export_report.md",
        "model_hierarchical_graph.graphml",
        "model_hierarchical_graph.onnxdata",
    }
    assert result.graphml.sidecar == tmp_path / "model_hierarchical_graph.onnxdata"
    assert graphml_onnx.decode(result.graphml.graphml, tmp_path / "back.onnx").exact
    assert (tmp_path / "back.onnx").read_bytes() == (tmp_path / "model.onnx").read_bytes()


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_without_options_there_are_the_onnx_and_its_metadata(tmp_path: Path, exporter: Any) -> None:
    export_heavy(tmp_path, exporter=exporter)

    assert set(contents(tmp_path)) == {"model.onnx", "model_htp_metadata.json"}


def test_the_graph_can_go_elsewhere_and_hold_its_weights(tmp_path: Path) -> None:
    (tmp_path / "graphs").mkdir()
    result = export_heavy(tmp_path, graphml_output=tmp_path / "graphs" / "net", graphml_parameters="embedded")

    assert result.graphml.graphml == tmp_path / "graphs" / "net.graphml"
    assert set(contents(tmp_path / "graphs")) == {"net.graphml"}


def test_the_report_tells_of_the_graph(tmp_path: Path) -> None:
    result = export_heavy(tmp_path, with_report=True, with_graphml=True)

    report = result.report.read_text(encoding="utf-8")
    assert f"{result.graphml.graphml.stat().st_size:,}" in report
    assert "graphml" in report


def test_the_metadata_names_the_files_that_there_are(tmp_path: Path) -> None:
    result = export_heavy(tmp_path, with_graphml=True, with_report=True)

    told = json.loads(result.metadata.read_text(encoding="utf-8"))["outputs"]
    graph = {"model_hierarchical_graph.graphml", "model_hierarchical_graph.onnxdata"}  # made after the metadata
    assert {file["path"] for file in told.values()} == set(contents(tmp_path)) - graph
    assert told["onnx_model"]["sha256"] == result.sha256


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_a_clean_onnx_has_no_tag_and_the_metadata_have_them_all(tmp_path: Path, exporter: Any) -> None:
    result = export_heavy(tmp_path, exporter=exporter, clean_onnx=True, with_graphml=True)

    assert b"winml.hierarchy.tag" not in (tmp_path / "model.onnx").read_bytes()
    assert len(json.loads(result.metadata.read_text(encoding="utf-8"))["nodes"]) == result.nodes
    assert result.graphml.coverage == 50.0  # the product is the root module's own


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_dynamic_dimensions_keep_their_names(tmp_path: Path, exporter: Any) -> None:
    result = export_heavy(tmp_path, exporter=exporter, dynamic_shapes={"features": {"0": "batch"}})

    told = json.loads(result.metadata.read_text(encoding="utf-8"))["tracing"]["inputs"]
    assert told["features"]["shape"] == ["batch", 64]
    for rows in (1, 5):
        feed = {"features": np.ones((rows, 64), np.float32), "scale": np.ones(64, np.float32)}
        assert outputs_of(tmp_path / "model.onnx", feed)[0].shape == (rows, 64)


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_opset_and_names_are_the_users_choice(tmp_path: Path, exporter: Any) -> None:
    export_heavy(tmp_path, exporter=exporter, opset=18, export_config={"output_names": ["scaled"]})

    model = onnx.load(tmp_path / "model.onnx")
    assert [entry.version for entry in model.opset_import if not entry.domain] == [18]
    assert [value.name for value in model.graph.output] == ["scaled"]


def test_the_same_seed_gives_the_same_model_and_metadata(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        export_heavy(tmp_path / name, seed=7)

    assert (tmp_path / "a" / "model.onnx").read_bytes() == (tmp_path / "b" / "model.onnx").read_bytes()


def test_weights_in_a_file_of_their_own_are_published_with_the_model(tmp_path: Path) -> None:
    result = export_heavy(tmp_path, export_config={"external_data": True}, with_graphml=True)

    assert result.external == (tmp_path / "model.onnx.data",)
    assert (tmp_path / "model.onnx.data").stat().st_size >= 64 * 64 * 4
    feed = {"features": np.ones((2, 64), np.float32), "scale": np.ones(64, np.float32)}
    with torch.no_grad():
        expected = heavy()(*map(torch.from_numpy, feed.values())).numpy()
    np.testing.assert_allclose(outputs_of(tmp_path / "model.onnx", feed)[0], expected, atol=1e-5)
    assert graphml_onnx.verify(result.onnx, metadata=result.metadata).passed


def test_a_graph_that_fails_leaves_everything_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graphml_onnx.exporting.run.encode", _full_disk)
    result = export_heavy(tmp_path, with_graphml=True, with_report=True)

    assert result.graphml is None
    assert result.graphml_error.category is graphml_onnx.Category.INPUT_OUTPUT
    assert set(contents(tmp_path)) == {"model.onnx", "model_htp_metadata.json", "model_htp_export_report.md"}
    assert graphml_onnx.verify(result.onnx, metadata=result.metadata).passed
    assert "no space" in result.report.read_text(encoding="utf-8")


def _full_disk(*_: object, **__: object) -> None:
    raise graphml_onnx.StorageError("no space left on device")


def test_an_export_that_fails_leaves_the_earlier_one(tmp_path: Path) -> None:
    export_heavy(tmp_path, with_report=True, with_graphml=True)
    before = contents(tmp_path)

    with pytest.raises(graphml_onnx.ModelError, match="exporter failed"):
        export_heavy(tmp_path, input_specs=SPECS | {"scale": {"shape": [5], "dtype": "float32"}}, overwrite=True)

    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    "existing",
    ["model.onnx", "model_htp_metadata.json", "model_htp_export_report.md", "model_hierarchical_graph.graphml"],
)
def test_an_existing_file_is_refused_before_anything_is_done(tmp_path: Path, existing: str) -> None:
    (tmp_path / existing).write_text("mine")

    with pytest.raises(graphml_onnx.OutputError, match="exists"):
        graphml_onnx.export(_Unexportable(), tmp_path / "model.onnx", with_report=True, with_graphml=True)

    assert contents(tmp_path) == {existing: b"mine"}


class _Unexportable(Heavy):
    def forward(self, *_: object) -> None:
        raise AssertionError("the model was run")


def test_a_killed_export_is_tidied_up_by_the_next(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    code = (
        "import sys, time, pathlib\n"
        "from graphml_onnx.exporting.outputs import workspace\n"
        "with workspace(pathlib.Path('model.onnx')) as folder:\n"
        "    (folder / 'model.onnx').write_bytes(b'half')\n"
        "    pathlib.Path('ready').touch()\n"
        "    time.sleep(900)\n"
    )
    child = subprocess.Popen([sys.executable, "-c", code], cwd=tmp_path)
    while not ready.exists():
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    ready.unlink()
    assert list(tmp_path.iterdir())

    export_heavy(tmp_path)

    assert set(contents(tmp_path)) == {"model.onnx", "model_htp_metadata.json"}


def test_steps_are_reported_and_timed(tmp_path: Path) -> None:
    stages: list[str] = []
    result = export_heavy(tmp_path, with_graphml=True, progress=lambda stage, done, *_: done or stages.append(stage))

    steps = [name.replace("_", " ") for name in result.seconds]
    assert [stage for stage in stages if stage in steps] == steps
    assert all(seconds >= 0 for seconds in result.seconds.values())


def test_a_report_that_cannot_be_completed_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk, the GraphML fails first and the report after it."""
    monkeypatch.setattr("graphml_onnx.exporting.run.encode", _full_disk)
    monkeypatch.setattr("graphml_onnx.exporting.outputs.Outputs.replace_report", _full_disk)
    result = export_heavy(tmp_path, with_graphml=True, with_report=True)

    assert result.graphml_error.category is graphml_onnx.Category.INPUT_OUTPUT
    assert "report" in result.findings[-1]
    assert "Module tree" in result.report.read_text(encoding="utf-8")
    assert set(contents(tmp_path)) == {"model.onnx", "model_htp_metadata.json", "model_htp_export_report.md"}


def test_the_name_of_the_graph_may_have_its_suffix(tmp_path: Path) -> None:
    result = export_heavy(tmp_path, graphml_output=tmp_path / "net.graphml")

    assert result.graphml.graphml == tmp_path / "net.graphml"
    assert result.graphml.sidecar == tmp_path / "net.onnxdata"
