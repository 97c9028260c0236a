"""What must hold for one real model: every strategy and layout, encode, validate, decode, equal bytes, verify.

As functions, and put together again, it has the same outputs, bit for bit, where onnxruntime can run it.
"""

from __future__ import annotations

import filecmp
import shutil
import tempfile
import time
import traceback
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
import onnx
from safetensors import safe_open

from graphml_onnx import (
    EncodeResult,
    GraphmlOnnxError,
    Layout,
    ModelError,
    ParameterStrategy,
    UsageError,
    decode,
    encode,
    functions,
    inline,
    numeric_diff,
    validate,
    verify,
)
from graphml_onnx.encoding.prepare import DEFAULT_INLINE_LIMIT
from tests.real.producers import judge, metadata_beside, owners_file

if TYPE_CHECKING:
    from collections.abc import Iterator

# Each strategy and each layout once; that they do not depend on each other is for tests/roundtrip to show.
WAYS: tuple[tuple[ParameterStrategy, Layout], ...] = tuple(
    zip(get_args(ParameterStrategy), get_args(Layout), strict=True)
)


LEAST_RIGHT = 0.95
"""Of the operators with a parameter, in the module that owns it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One model, and its results.

    Attributes:
        origin: the package, or the folder, that it is from.
        model: its name there.
        size: of the model file, in bytes.
        producer: the program that wrote it, by the name that it gives itself.
        version: of the producer.
        encoded: what ``encode`` counted; None if it failed.
        seconds: for everything.
        problems: what went wrong, one line each.
    """

    origin: str
    model: str
    size: int
    producer: str
    version: str
    encoded: EncodeResult | None
    seconds: float
    problems: tuple[str, ...]

    def __str__(self) -> str:
        facts = f"{'':28}"
        if self.encoded is not None:
            result = self.encoded
            facts = f"{result.operators:9,} {result.modules:7,} {result.hierarchy_source:10}"
        producer = " ".join(f"{self.producer}, {self.version}".split())[:30]
        result_text = "; ".join(self.problems) or "exact"
        return (
            f"{producer:30} {self.origin[-36:]:36} {self.model[-42:]:42} {self.size:11,} {facts} {self.seconds:6.1f}  "
            f"{result_text}"
        )


HEADER = (
    f"{'producer':30} {'package':36} {'model':42} {'bytes':>11} {'operators':>9} {'modules':>7} {'hierarchy':10} "
    f"{'s':>6}  result"
)


def check_model(origin: str, name: str, path: Path) -> Row:
    """Runs a model through everything; a failure is in the row, not raised.

    Args:
        origin: the package or folder that it is from, for the row.
        name: its name there, for the row.
        path: the ONNX file; files beside it that are no models may be its data.
    """
    start = time.perf_counter()
    encoded: EncodeResult | None = None
    problems: list[str] = []
    metadata = metadata_beside(path)
    producer = version = ""
    try:
        model = onnx.load(path, load_external_data=False)
        producer, version = model.producer_name or "(unnamed)", model.producer_version
        with tempfile.TemporaryDirectory(prefix="g2o-real-") as folder:
            staged = _stage(path, Path(folder))
            for parameters, layout in WAYS:
                encoded = _there_and_back(staged, metadata, parameters, layout, problems)
            report = verify(staged, metadata=metadata)
            problems += [f"verify: {check.name}: {check.detail}" for check in report.checks if not check.passed]
            problems += _as_functions(staged)
        problems += _misplaced(path, metadata)
    except GraphmlOnnxError as error:
        problems.append(f"{type(error).__name__}: {error}")
    except Exception:  # noqa: BLE001 - whatever it is, the other models go on
        problems.append(traceback.format_exc().strip().replace("\n", " | "))
    seconds = time.perf_counter() - start
    return Row(origin, name, path.stat().st_size, producer, version, encoded, seconds, tuple(problems))


def _as_functions(model: Path) -> Iterator[str]:
    """What goes wrong with the modules as functions; nothing where there are none."""
    folder = model.parent
    try:
        folded = functions(model, folder / "folded.onnx").onnx
    except UsageError:
        return
    flat = inline(folded, folder / "flat.onnx").onnx
    for made in (folded, flat):
        if not verify(made).passed:
            yield f"{made.stem}: does not come back"
        try:
            found = numeric_diff(model, made)
        except ModelError as error:  # that onnxruntime cannot run the model itself is no fault of ours
            if error.file == str(made):
                yield f"{made.stem}: {error.message}"
            continue
        yield from (f"{made.stem}: output {row.tensor} differs" for row in found.outputs if not row.figures.is_equal)


def _misplaced(path: Path, metadata: Path | None) -> Iterator[str]:
    """Whether too few operators stand in the module that owns their parameter, where it is known which that is."""
    if owners_file(path).exists():
        for given in {metadata, None}:
            total, right, source, _ = judge(path, given)
            if right < LEAST_RIGHT * total:
                yield f"{right} of {total} operators with a parameter are in the module that owns it ({source})"


def _there_and_back(
    model: Path, metadata: Path | None, parameters: ParameterStrategy, layout: Layout, problems: list[str]
) -> EncodeResult:
    way = f"{parameters}, {layout}"
    graph = model.with_name("graph.graphml")
    result = encode(model, graph, metadata=metadata, parameters=parameters, layout=layout)
    problems += [
        f"{way}: validate: {found.code}: {found.message}" for found in validate(graph) if found.severity == "error"
    ]
    if result.sidecar is not None:
        problems += [f"{way}: sidecar: {problem}" for problem in _of_sidecar(result.sidecar, model)]
    back = model.parent / "back"
    back.mkdir()
    decoded = decode(graph, back / "model.onnx")
    if not decoded.exact:
        problems.append(f"{way}: decode says that it is not exact")
    for written in (decoded.onnx, *decoded.external):
        original = model.parent / written.relative_to(back) if written != decoded.onnx else model
        if not filecmp.cmp(original, written, shallow=False):
            problems.append(f"{way}: {written.name} differs")
    shutil.rmtree(back)
    graph.unlink()
    if result.sidecar is not None:
        result.sidecar.unlink()
    return result


def _of_sidecar(sidecar: Path, model: Path) -> list[str]:
    """What is wrong with a sidecar for those who open it with safetensors: weights have their names and their bytes."""
    stored = {
        tensor.name: tensor
        for tensor in onnx.load(model, load_external_data=False).graph.initializer
        if len(tensor.raw_data) > DEFAULT_INLINE_LIMIT
    }
    problems = []
    framework = "numpy"
    if find_spec("torch"):  # it knows types that NumPy lacks
        import torch

        framework = "pt"
    with safe_open(sidecar, framework=framework) as file:
        names = set(file.keys())
        if lacking := stored.keys() - names:
            problems.append(f"{len(lacking)} weights have another name, {min(lacking)!r} the first")
        for name in stored.keys() & names:
            tensor = file.get_tensor(name)
            if list(tensor.shape) != list(stored[name].dims) and str(tensor.dtype).removeprefix("torch.") != "uint8":
                problems.append(f"{name} has the shape {list(tensor.shape)}")
            elements = tensor.reshape(-1).view(torch.uint8) if framework == "pt" else tensor
            if np.asarray(elements).tobytes() != stored[name].raw_data:
                problems.append(f"{name} has other elements")
    return problems


def _stage(path: Path, folder: Path) -> Path:
    """Copies a model, and the files that may be its data, into a folder of their own, where graphs may lie beside it.

    Links would change the file that they lead to, as who reads it sees: it has a name more.
    """
    staged = folder / "model.onnx"
    shutil.copyfile(path, staged)
    for data in path.parent.rglob("*"):
        if data.is_file() and not data.name.endswith((".onnx", ".gz")):
            target = folder / data.relative_to(path.parent)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(data, target)
    return staged
