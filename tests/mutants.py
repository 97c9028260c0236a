"""Changes the code that moves bytes in small ways, one at a time, and expects a test to fail for each.

``python -m tests.mutants graphml_onnx/parameters/chunks.py`` prints the changes that no test noticed. Comparisons,
arithmetic, numbers, conditions and statements are changed. Survivors that change nothing anyone can see are listed in
`EQUIVALENT`, each with its reason.

pytest collects the tests once; each change is made in a fork of that process, in the functions that are loaded, so
that no file is touched and nothing is imported again. Tests that start a process of their own do not see the change.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import inspect
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

ROOT = Path(__file__).parent.parent
_CPU_SECONDS = 60  # of a fork: a change may make a loop that never ends
_SECONDS = 600
_MEMORY = 8 << 30
_BROKEN = 99
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
    ("collect", "source.size > limits.LIMITS.threads"): "threads change how long it takes, and nothing else",
    ("collect", "True"): "as many digests as payloads: each payload has a last part",
    ("_field_at", "position < end"): "the byte lies before the end, so nothing is found there",
    ("_field_at", "content + length"): "where an unknown field ends, nobody asks: nothing is read in it",
    ("read_marker", "len(content) != MARKER_BYTES or not content.startswith(nonce)"): "compared as a whole after it",
    (
        "model_routes",
        "_drop_dead_ends(routes)",
    ): "messages without payloads are read too, which takes time only",
    ("make_residue", "len(original) > _MAX_GROWTH * (len(canonical) + len(patch))"): "both patches give the same file",
    ("_cut", "payloads[current].offset < end"): "a part of no bytes more, where a payload starts with the next chunk",
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


def functions(owner: ModuleType | type) -> Iterator[FunctionType]:
    """The functions and methods that a module defines."""
    name = owner.__name__ if inspect.ismodule(owner) else owner.__module__
    for value in vars(owner).values():
        for inner in (value, getattr(value, "fget", None), getattr(value, "__func__", None)):
            function = inspect.unwrap(inner) if callable(inner) else inner
            if isinstance(function, FunctionType) and function.__module__ == name:
                yield function
        if isinstance(value, type) and value.__module__ == name:
            yield from functions(value)


def put_in_place(module: ModuleType, source: str) -> None:
    """Gives each function of a module the code that it has in another source of it."""
    codes: dict[str, CodeType] = {}
    pending = [compile(source, str(module.__file__), "exec")]
    while pending:
        inner = [constant for constant in pending.pop().co_consts if isinstance(constant, CodeType)]
        codes.update((code.co_qualname, code) for code in inner)
        pending += inner
    for function in functions(module):
        if function.__qualname__ in codes:  # not what dataclasses make
            function.__code__ = codes[function.__qualname__]


class _Loop:
    """In the place of pytest's loop over the tests: runs them once for each change."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self.alive = 0

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        for file in self._options.file:
            module = importlib.import_module(file.removesuffix(".py").replace("/", "."))
            original = (ROOT / file).read_text("utf-8")
            if self._forked(session, module, original, "no change"):
                sys.exit("the tests fail without a change")
            found = list(mutants(original))
            if self._options.sample is not None and self._options.sample < len(found):
                found = random.Random(self._options.seed).sample(found, self._options.sample)
            alive = 0
            for told, source in found:
                if not self._forked(session, module, source, told):
                    alive += 1
                    print(f"  survives: {told}", flush=True)
            self.alive += alive
            print(f"{file}: {len(found)} changes, {alive} unnoticed", flush=True)
        return True

    def _forked(self, session: pytest.Session, module: ModuleType, source: str, told: str) -> bool:
        """Whether a test fails in a fork with this code, or the fork does not end."""
        temporary = tempfile.mkdtemp(prefix="g2o-mutant-")
        process = os.fork()
        if process == 0:
            try:
                os._exit(self._run(session, module, source, temporary))
            finally:
                os._exit(_BROKEN)
        deadline = time.monotonic() + _SECONDS
        while (ended := os.waitpid(process, os.WNOHANG)) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(process, signal.SIGKILL)
            time.sleep(0.01)
        shutil.rmtree(temporary, ignore_errors=True)
        if os.waitstatus_to_exitcode(ended[1]) == _BROKEN:
            print("  not tried, as the function would need other cells:", told, flush=True)
        return ended[1] != 0

    def _run(self, session: pytest.Session, module: ModuleType, source: str, temporary: str) -> int:
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        resource.setrlimit(resource.RLIMIT_CPU, (self._options.cpu, self._options.cpu))
        put_in_place(module, source)
        session.config.option.basetemp = temporary
        for item, following in zip(session.items, [*session.items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                return 1
        return 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="+", help="from the root of the repository")
    parser.add_argument("--sample", type=int, help="this many changes of each file, chosen by --seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cpu", type=int, default=_CPU_SECONDS, help="seconds that the tests may take with a change")
    parser.add_argument("--tests", nargs="+", default=_TESTS)
    options = parser.parse_args()
    os.chdir(ROOT)
    loop = _Loop(options)
    pytest.main(["-q", "-n", "0", "-p", "no:cacheprovider", "-s", "-m", "not slow", *options.tests], [loop])
    sys.exit(bool(loop.alive))


if __name__ == "__main__":
    main()
