"""Changes the code that moves bytes in small ways, one at a time, and expects a test to fail for each.

``python -m tests.mutants graphml_onnx/parameters/chunks.py`` prints the changes that no test noticed. Comparisons,
arithmetic, numbers, conditions and statements are changed, in a copy of the repository. Survivors that change nothing
anyone can see are listed in `EQUIVALENT`, each with its reason.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parent.parent
_LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "results")
_SECONDS = 120
_TESTS = ("tests/parameters", "tests/onnxfile", "tests/codec/test_residue.py", "tests/roundtrip/test_external_data.py")

_COMPARE: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.FloorDiv, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult,
    ast.LShift: ast.RShift, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip

EQUIVALENT = {
    ("_thread", "pool.shutdown(wait=False, cancel_futures=True)"): "a pool without a thread has nothing to wait for",
    ("_thread", "False"): "a pool without a thread has nothing to wait for",
    ("_thread", "True"): "the one call in it is `int`, which nobody waits for",
    ("__init__", "descriptor is not None and sys.platform == 'linux'"): "a thread too many, which `sync` never uses",
}
"""Function and code whose changes nobody can notice, and why."""


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """Other nodes that could stand in the place of one."""
    match node:
        case ast.Compare(left, [operator], right):
            for other in _COMPARE.get(type(operator), ()):
                yield ast.Compare(left, [other()], right)
        case ast.BinOp(left, operator, right) if type(operator) in _ARITHMETIC:
            yield ast.BinOp(left, _ARITHMETIC[type(operator)](), right)
        case ast.BoolOp(ast.And() as operator, values) | ast.BoolOp(ast.Or() as operator, values):
            yield ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), values)
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() as value):
            yield ast.Constant(value + 1)
        case ast.Expr(ast.Call()) | ast.AugAssign() | ast.Raise():
            yield ast.Pass()


def mutants(source: str) -> Iterator[tuple[str, str]]:
    """Each changed source, with the place and the line that was changed."""
    tree = ast.parse(source)
    owners = {
        inner: function.name
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
        for statement in function.body
        for inner in ast.walk(statement)
        if not isinstance(statement, ast.AnnAssign)
    }
    places = [
        (parent, name, index, child)
        for parent in ast.walk(tree)
        for name, value in ast.iter_fields(parent)
        for index, child in (enumerate(value) if isinstance(value, list) else [(None, value)])
        if isinstance(child, ast.AST) and child in owners
    ]
    for parent, name, index, child in places:
        if (owners[child], ast.unparse(child)) in EQUIVALENT:
            continue
        for other in changes(child):
            _put(parent, name, index, ast.copy_location(copy.deepcopy(other), child))
            ast.fix_missing_locations(parent)
            line = getattr(child, "lineno", 0)
            told = f"{owners[child]}, line {line}: {ast.unparse(child)[:90]}  ->  {ast.unparse(other)[:90]}"
            yield told, ast.unparse(tree)
            _put(parent, name, index, child)


def _put(parent: ast.AST, name: str, index: int | None, child: ast.AST) -> None:
    if index is None:
        setattr(parent, name, child)
    else:
        getattr(parent, name)[index] = child


def survives(copied: Path, tests: tuple[str, ...]) -> bool:
    """Whether all tests pass."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-q",
        "-n",
        "0",
        "-p",
        "no:cacheprovider",
        "-m",
        "not slow",
        *tests,
    ]
    environment = {**os.environ, "PYTHONPATH": str(copied), "CI": "true", "PYTHONDONTWRITEBYTECODE": "1"}
    try:
        done = subprocess.run(command, cwd=copied, env=environment, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="+", help="from the root of the repository")
    parser.add_argument("--sample", type=int, help="this many changes of each file, chosen by --seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tests", nargs="+", default=_TESTS)
    options = parser.parse_args()
    survivors = 0
    with tempfile.TemporaryDirectory(prefix="g2o-mutants-") as name:
        copied = Path(name) / "copy"
        shutil.copytree(ROOT, copied, ignore=_LEFT_OUT)
        if not survives(copied, tuple(options.tests)):
            sys.exit("the tests fail without a change")
        for file in options.file:
            original = (copied / file).read_text("utf-8")
            found = list(mutants(original))
            if options.sample is not None and options.sample < len(found):
                found = random.Random(options.seed).sample(found, options.sample)
            alive = []
            for told, source in found:
                (copied / file).write_text(source, "utf-8")
                if survives(copied, tuple(options.tests)):
                    alive.append(told)
                    print(f"  survives: {told}", flush=True)
            (copied / file).write_text(original, "utf-8")
            survivors += len(alive)
            print(f"{file}: {len(found)} changes, {len(alive)} unnoticed", flush=True)
    sys.exit(bool(survivors))


if __name__ == "__main__":
    main()
