"""Cuts modules out of models, runs both, and compares every output: ``python -m tests.real.extracts FOLDER...``.

Both are run operator by operator, so that nothing is fused differently. A part must pass ONNX's checker, give the very
bits that the whole model has in the tensors at its end, and give back the identical file when it is put in its place.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import onnx

import graphml_onnx
from graphml_onnx import ExtractResult, GraphmlOnnxError, ModelGraph
from graphml_onnx.inputs.made import Array, CannotRunError
from graphml_onnx.running.feed import Inputs
from graphml_onnx.running.sessions import Runnable
from graphml_onnx.verification.numeric import same

HEADER = f"{'model':64} {'modules':>8} {'checked':>8} {'equal':>6} {'not run':>8}  what is wrong"


class _Whole:
    """A model, and what it was run with."""

    def __init__(self, graph: ModelGraph) -> None:
        self._runnable = Runnable(graph)
        names = [tensor.name for tensor in graph.outputs]
        self._feed, _ = Inputs().run(graph, lambda feed: self._runnable.outputs(names, feed))

    def tensors(self, names: tuple[str, ...]) -> dict[str, object]:
        given = {name: array for name, array in self._feed.items() if name in names}
        return {**given, **self._runnable.outputs([name for name in names if name not in given], self._feed)}


def check_model(path: Path, most: int) -> tuple[Counter[str], list[str]]:
    """Cuts out up to ``most`` modules; returns how many had each outcome, and the failures."""
    counts: Counter[str] = Counter()
    wrong: list[str] = []
    is_valid = _passes(path)
    with graphml_onnx.open(path) as graph, ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="g2o-extracts-")))
        try:
            whole = _Whole(graph)
        except GraphmlOnnxError:
            whole = None
        modules = [module.path for module in graph.root.walk() if module is not graph.root]
        for module in modules[:: max(1, -(-len(modules) // most))]:
            counts["modules"] += 1
            try:
                part = graphml_onnx.extract(path, folder / "part.onnx", module=module, overwrite=True)
                if _passes(part.onnx):
                    counts["checked"] += 1
                elif is_valid and not any("the shape of" in finding for finding in part.findings):
                    onnx.checker.check_model(part.onnx)  # to tell the reason
                counts["equal" if whole is not None and _is_equal(whole, part) else "not run"] += 1
                graphml_onnx.replace(path, part.onnx, folder / "back.onnx", module=module, overwrite=True)
                if (folder / "back.onnx").read_bytes() != path.read_bytes():
                    wrong.append(f"{module}: put back, the file is another")
            except (GraphmlOnnxError, onnx.checker.ValidationError, AssertionError) as error:
                wrong.append(f"{module}: {' '.join(str(error).split())[:160]}")
    return counts, wrong


def _passes(path: Path) -> bool:
    try:
        onnx.checker.check_model(path)
    except onnx.checker.ValidationError:
        return False
    return True


def _is_equal(whole: _Whole, part: ExtractResult) -> bool:
    """Runs a part on what the whole model has at its start; False where onnxruntime does not run one of the two."""
    try:
        expected = whole.tensors((*part.inputs, *part.outputs))
        feed = {name: expected[name] for name in part.inputs}
        if not all(hasattr(value, "dtype") for value in feed.values()):
            return False  # sequences and maps
        with graphml_onnx.open(part.onnx) as graph:
            arrays: dict[str, Array] = feed  # type: ignore[assignment]
            found = Runnable(graph).outputs(part.outputs, arrays)
    except CannotRunError:
        return False
    differing = [name for name in part.outputs if not same(expected[name], found[name])]
    assert not differing, f"other numbers in {differing}"
    return True


def main() -> int:
    """Prints the table; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.real.extracts", description=__doc__)
    parser.add_argument("folders", metavar="FOLDER", nargs="+", type=Path, help="models, and folders of models")
    parser.add_argument("--most", type=int, default=12, help="modules of each model (default: 12, evenly chosen)")
    arguments = parser.parse_args()
    print(HEADER)
    is_wrong = False
    for folder in arguments.folders:
        for path in [folder] if folder.is_file() else sorted(folder.rglob("*.onnx")):
            try:
                counts, wrong = check_model(path, arguments.most)
            except GraphmlOnnxError as error:
                counts, wrong = Counter(), [str(error)]
            is_wrong = is_wrong or bool(wrong)
            numbers = f"{counts['modules']:8} {counts['checked']:8} {counts['equal']:6} {counts['not run']:8}"
            print(f"{str(path)[-64:]:64} {numbers}  {'; '.join(wrong)}", flush=True)
    return int(is_wrong)


if __name__ == "__main__":
    sys.exit(main())
