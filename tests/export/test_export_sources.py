"""What MODEL may be, and what it may not be."""

from __future__ import annotations

import json
import pickle
import re
import sys
import zipfile
from pathlib import Path
from typing import Any

import onnx
import pytest

import graphml_onnx
from tests.common.command import contents

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from tests.export.tiny_models import heavy, mixed  # noqa: E402


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "model.onnx"


def save_program(path: Path) -> Path:
    model, x = mixed()
    torch.export.save(torch.export.export(model.eval(), (x,)), path)
    return path


def test_a_function_gives_a_module_with_its_inputs(output: Path) -> None:
    assert graphml_onnx.export("tests.export.tiny_models:mixed", output).nodes > 10


def test_a_function_gives_a_module_and_specs_the_inputs(output: Path) -> None:
    specs = {"scale": {"shape": [1], "dtype": "float32"}, "features": {"shape": [3, 64], "dtype": "float32"}}
    graphml_onnx.export("tests.export.tiny_models:heavy", output, input_specs=specs)

    assert [value.name for value in onnx.load(output).graph.input] == ["features", "scale"]


def test_a_program_has_its_inputs_and_tells_its_modules(tmp_path: Path, output: Path) -> None:
    result = graphml_onnx.export(save_program(tmp_path / "program.pt2"), output, with_graphml=True)

    metadata = json.loads(result.metadata.read_text(encoding="utf-8"))
    assert metadata["modules"]["class_name"] == "Mixed"
    assert "/Mixed/Block.0/Linear.dense" in metadata["nodes"].values()
    assert result.exact == 100.0
    assert result.graphml.coverage == 81.25  # all but 3 of 16, which the root module calls


def test_a_program_in_memory_too(output: Path) -> None:
    program = torch.export.export(heavy().eval(), (torch.randn(2, 64), torch.randn(64)))
    assert graphml_onnx.export(program, output).modules == 2


def test_a_program_that_asks_to_unpickle_is_refused_and_nothing_runs(tmp_path: Path, output: Path) -> None:
    program = save_program(tmp_path / "program.pt2")
    trap = tmp_path / "trap"

    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (trap,)

    hostile = tmp_path / "hostile.pt2"
    with zipfile.ZipFile(program) as source, zipfile.ZipFile(hostile, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            is_pickle = name.endswith(".pt") or content[:2] == b"PK"
            target.writestr(name, pickle.dumps(Trap()) if is_pickle else content)

    with pytest.raises(graphml_onnx.ModelError):
        graphml_onnx.export(hostile, output)
    assert not trap.exists()


@pytest.mark.parametrize("name", ["weights.pt", "model.pth", "pytorch_model.bin", "model.pkl", "noname"])
def test_pickled_models_are_refused_and_not_opened(tmp_path: Path, output: Path, name: str) -> None:
    torch.save(heavy().state_dict(), tmp_path / name)

    with pytest.raises(graphml_onnx.ModelError, match="pickled") as refusal:
        graphml_onnx.export(tmp_path / name, output)

    assert "package.module:callable" in (refusal.value.remedy or "")
    assert not output.exists()


@pytest.mark.parametrize(
    ("model", "kind", "complaint"),
    [
        ("no_such_package:build", graphml_onnx.InputError, "no_such_package"),
        ("net.py:build", graphml_onnx.InputError, "not its file: net:build"),
        ("tests.export.tiny_models:nothing", graphml_onnx.InputError, "nothing"),
        ("tests.export.tiny_models:number", graphml_onnx.UsageError, "int"),
        ("tests.export.tiny_models:EXPECTED", graphml_onnx.InputError, "EXPECTED"),
        ("tests.export.tiny_models:broken", graphml_onnx.ModelError, "no such checkpoint"),
        ("tests.export.tiny_models:heavy", graphml_onnx.UsageError, "inputs"),
        ("./missing/model", graphml_onnx.InputError, "no such file"),
        ("missing.pt2", graphml_onnx.InputError, "no such file"),
    ],
)
def test_what_cannot_be_loaded_is_named(
    output: Path, model: str, kind: type[graphml_onnx.GraphmlOnnxError], complaint: str
) -> None:
    with pytest.raises(kind, match=complaint):
        graphml_onnx.export(model, output)
    assert contents(output.parent) == {}


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("model.onnx", b"", "g2o encode"),
        ("notes.txt", b"hello", "no PyTorch model"),
        ("program.pt2", b"hello", "no readable torch.export program"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, content: bytes, complaint: str) -> None:
    (tmp_path / name).write_bytes(content)

    with pytest.raises(graphml_onnx.GraphmlOnnxError, match=complaint):
        graphml_onnx.export(tmp_path / name, tmp_path / "out.onnx")


@pytest.mark.parametrize(
    "options",
    [
        {"task": "fill-mask"},
        {"exporter": "caffe"},
        {"torch_modules": "some"},
        {"torch_modules": ["Linear", "Lineal"]},
        {"inputs": 3},
        {"inputs": torch.ones(1), "input_specs": {"x": {"shape": [2, 8], "dtype": "float32"}}},
        {"input_specs": {"y": {"shape": [2, 8], "dtype": "float32"}}},
        {"dynamic_shapes": {"y": {"0": "batch"}}},
        {"export_config": {"training": 1}},
        {"export_config": {"optimize": 1}},
        {"exporter": "torchscript", "export_config": {"dynamo": True}},
        {"seed": 10**23, "input_specs": {"x": {"shape": [2, 8], "dtype": "float32"}}},
        {"input_specs": {"x": {"shape": [10**20], "dtype": "float32"}}},
        {"input_specs": {"x": {"shape": [2, 8], "dtype": "float32", "range": [0, 10**400]}}},
        {"graphml_output": ""},
        {"batch_size": 3},
        {"opset": 99},
        {"opset": 18, "export_config": {"opset_version": 19}},
        {"graphml_parameters": "cloud", "with_graphml": True},
    ],
)
def test_options_that_do_not_fit_are_refused(output: Path, options: dict[str, Any]) -> None:
    model, x = mixed()
    given = {"inputs": x} if not {"inputs", "input_specs"} & options.keys() else {}

    with pytest.raises(graphml_onnx.UsageError):
        graphml_onnx.export(model, output, **given, **options)
    assert contents(output.parent) == {}


@pytest.mark.parametrize("options", [{"batch_size": 3}, {"shapes": {"x": (3, 8)}}])
def test_sizes_are_refused_where_the_inputs_are_given(tmp_path: Path, output: Path, options: dict[str, Any]) -> None:
    """They would have no effect on the inputs of a function, or of a program."""
    for model in ("tests.export.tiny_models:mixed", save_program(tmp_path / "program.pt2")):
        with pytest.raises(graphml_onnx.UsageError, match="own"):
            graphml_onnx.export(model, output, **options)


def test_torchscript_takes_no_program(tmp_path: Path, output: Path) -> None:
    with pytest.raises(graphml_onnx.UsageError, match="dynamo"):
        graphml_onnx.export(save_program(tmp_path / "program.pt2"), output, exporter="torchscript")


@pytest.mark.parametrize(
    ("specs", "place"),
    [
        ("[]", None),
        ("{}", None),
        ('{"x": 1}', "x"),
        ('{"x": {"shape": [2]}}', "x"),
        ('{"x": {"shape": [2], "dtype": "float32", "size": 3}}', "x.size"),
        ('{"x": {"shape": 2, "dtype": "float32"}}', "x.shape"),
        ('{"x": {"shape": [-2], "dtype": "float32"}}', "x.shape[0]"),
        ('{"x": {"shape": [true], "dtype": "float32"}}', "x.shape[0]"),
        ('{"x": {"shape": [2], "dtype": "float31"}}', "x.dtype"),
        ('{"x": {"shape": [2], "dtype": "int8", "range": [0, 200]}}', "x.range"),
        ('{"x": {"shape": [2], "dtype": "int8", "range": [2, 1]}}', "x.range"),
        ('{"x": {"shape": [2], "dtype": "int8", "range": [0.5, 1]}}', "x.range"),
        ('{"x": {"shape": [2], "dtype": "int8", "range": [0]}}', "x.range"),
        ('{"x": {"shape": [2], "dtype": "int8"}, "x": {"shape": [2], "dtype": "int8"}}', None),
        ('{"x": {"shape": [2], "dtype": "float32", "range": [0, NaN]}}', None),
        ("not json", None),
    ],
)
def test_specs_are_read_strictly(tmp_path: Path, specs: str, place: str | None) -> None:
    file = tmp_path / "specs.json"
    file.write_text(specs, encoding="utf-8")

    with pytest.raises(graphml_onnx.UsageError) as refusal:
        graphml_onnx.export("tests.export.tiny_models:mixed", tmp_path / "model.onnx", input_specs=file)

    assert refusal.value.file == str(file)
    assert refusal.value.place == place


def test_specs_say_what_the_inputs_are(tmp_path: Path) -> None:
    seen: dict[str, torch.Tensor] = {}

    class Watcher(torch.nn.Module):
        def forward(self, ids: torch.Tensor, mask: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
            seen.update(ids=ids, mask=mask, x=x)
            return x[ids] * mask

    specs = {
        "ids": {"shape": [50], "dtype": "int64", "range": [3, 5]},
        "mask": {"shape": [50], "dtype": "bool", "range": [1, 1]},
        "x": {"shape": [9], "dtype": "float64", "range": [-0.5, 0.25]},
    }
    graphml_onnx.export(Watcher(), tmp_path / "model.onnx", input_specs=specs, exporter="torchscript")

    assert set(seen["ids"].tolist()) == {3, 4, 5}
    assert seen["mask"].dtype is torch.bool
    assert seen["mask"].all()
    assert seen["x"].dtype is torch.float64
    assert -0.5 <= seen["x"].min() <= seen["x"].max() <= 0.25


OWN_CODE = {
    "import exits": ("raise SystemExit(7)", "it failed: SystemExit: 7 (own_code.py, line 1)"),
    "import fails": ("import nothing_there", "it failed: ModuleNotFoundError: No module named 'nothing_there'"),
    "import raises": ("class Odd(BaseException): pass\nraise Odd('own words')", "it failed: Odd: own words"),
    "exits": ("import sys\ndef build():\n    sys.exit()", "it failed: SystemExit: SystemExit (own_code.py, line 3)"),
    "raises": ("def build():\n    raise GeneratorExit('own words')", "it failed: GeneratorExit: own words"),
    "exits as it runs": (
        (
            "import torch\nclass Ends(torch.nn.Module):\n    def forward(self, x):\n        raise SystemExit(5)\n"
            "def build():\n    return Ends(), torch.ones(1)"
        ),
        "the torchscript exporter failed: SystemExit: 5",
    ),
}


@pytest.mark.parametrize("name", OWN_CODE)
def test_whatever_the_users_code_raises_is_its_failure(
    tmp_path: Path, output: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    code, told = OWN_CODE[name]
    (tmp_path / "own_code.py").write_text(code, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_code", raising=False)
    with pytest.raises(graphml_onnx.errors.ModelError, match=re.escape(told)):
        graphml_onnx.export("own_code:build", output, exporter="torchscript")
    assert not output.exists()


def test_what_the_users_code_prints_and_where_it_goes_stays_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_code.py").write_text(
        "import os, torch\nprint('imported')\nclass Moves(torch.nn.Module):\n    def forward(self, x):\n"
        "        os.chdir('/')\n        return x + 1\n"
        "def build():\n    print('built')\n    os.chdir('/')\n    return Moves(), torch.ones(1)\n",
        encoding="utf-8",
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_code", raising=False)
    monkeypatch.chdir(tmp_path)
    graphml_onnx.export("own_code:build", "model.onnx", exporter="torchscript")
    assert (tmp_path / "model.onnx").exists()
    assert Path.cwd() == tmp_path
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.split() == ["imported", "built"]
