"""Large models come back, in little memory: it does not grow with the weights."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from graphml_onnx import ParameterStrategy

ROOT = Path(__file__).parents[2]
MEMORY = 64 * 1024  # KiB above what importing takes
STRATEGIES: tuple[ParameterStrategy, ...] = ("sidecar", "embedded", "reference")

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the system does not tell the peak memory"
)


def _run(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", *arguments], cwd=ROOT, capture_output=True, text=True, check=False, timeout=900
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def generate(kind: str, path: Path, *number: float) -> Path:
    _run("benchmarks.models", kind, str(path), *map(str, number))
    return path


def peak(function: str, **arguments: str | Path | bool) -> int:
    """Peak memory in KiB, above what importing takes, of a call in a process of its own."""
    texts = {name: str(value) if isinstance(value, Path) else value for name, value in arguments.items()}
    measured: dict[str, int] = json.loads(_run("benchmarks.measure", f"graphml_onnx:{function}", json.dumps(texts)))
    return measured["peak_kib"]


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.fixture(scope="module")
def space(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder that does not outlive the tests, as those of pytest do."""
    folder = tmp_path_factory.mktemp("large")
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def medium_model(space: Path) -> Path:
    """125 MB: twice the memory that is allowed."""
    return generate("bert-base", space / "medium.onnx", 1)


@pytest.fixture(scope="module")
def large_model(space: Path) -> Path:
    """438 MB."""
    return generate("bert-base", space / "large.onnx", 12)


def there_and_back(model: Path, strategy: ParameterStrategy) -> tuple[Path, Path]:
    """Encodes and decodes, each within the allowed memory; returns the graph and the decoded model."""
    graph = model.with_name(f"{model.stem}-{strategy}.graphml")
    back = model.with_name("back") / "model.onnx"
    shutil.rmtree(back.parent, ignore_errors=True)
    back.parent.mkdir()
    assert peak("encode", model=model, output=graph, parameters=strategy) < MEMORY
    assert peak("decode", graphml=graph, output=back, require_exact=True) < MEMORY
    return graph, back


def remove(graph: Path, back: Path) -> None:
    graph.unlink()
    graph.with_suffix(".onnxdata").unlink(missing_ok=True)
    shutil.rmtree(back.parent)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_125_megabytes(medium_model: Path, strategy: ParameterStrategy) -> None:
    graph, back = there_and_back(medium_model, strategy)
    assert digest(back) == digest(medium_model)
    remove(graph, back)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_438_megabytes(large_model: Path, strategy: ParameterStrategy) -> None:
    graph, back = there_and_back(large_model, strategy)
    assert digest(back) == digest(large_model)
    remove(graph, back)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["sidecar", "reference"])
def test_one_file_beyond_what_protobuf_reads(space: Path, strategy: ParameterStrategy) -> None:
    model = generate("internal-sparse", space / "internal.onnx", 2.5)
    assert model.stat().st_size > 2**31
    graph, back = there_and_back(model, strategy)
    assert digest(back) == digest(model)
    remove(graph, back)
    model.unlink()


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["sidecar", "reference"])
def test_data_files_of_more_than_two_gigabytes(space: Path, strategy: ParameterStrategy) -> None:
    folder = space / "external"
    folder.mkdir()
    model = generate("external-sparse", folder / "model.onnx", 2.5)
    files = sorted((folder / "weights").iterdir())
    assert sum(file.stat().st_size for file in files) > 2**31
    _, back = there_and_back(model, strategy)
    assert digest(back) == digest(model)
    if strategy == "sidecar":
        for file in files:
            copy = back.parent / "weights" / file.name
            assert copy.stat().st_size == file.stat().st_size
            assert digest(copy) == digest(file)
    shutil.rmtree(folder)


@pytest.mark.parametrize("count", [10_000, pytest.param(100_000, marks=pytest.mark.slow)])
def test_many_operators(space: Path, count: int) -> None:
    model = generate("many-small-nodes", space / "many.onnx", count)
    graph, back = space / f"{count}.graphml", space / f"{count}.onnx"
    allowed = (
        24 * model.stat().st_size / 1024 + MEMORY / 2
    )  # what grows with the operators: messages, names, edges, modules
    assert peak("encode", model=model, output=graph) < allowed
    assert peak("decode", graphml=graph, output=back, require_exact=True) < allowed
    assert digest(back) == digest(model)
