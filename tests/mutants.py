"""Changes the code that moves bytes in small ways, one at a time, and expects a test to fail for each.

``python -m tests.mutants graphml_onnx/parameters/chunks.py`` prints the changes that no test noticed. Comparisons,
arithmetic, numbers, conditions and statements are changed. Survivors that change nothing anyone can see are listed in
`tests.equivalent_mutants`, each with its reason.

pytest collects the tests once, and runs them once to learn which statements each of them reaches. Each change is made
in a fork of that process, in the functions that are loaded, so that no file is touched and nothing is imported again;
the tests that reach the statement follow, the quickest first, until one fails. Tests that start a process of their own
do not see the change.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib
import inspect
import os
import pickle
import random
import re
import resource
import signal
import sys
import tempfile
import time
from pathlib import Path
from types import CodeType, FunctionType
from typing import TYPE_CHECKING, NamedTuple

import hypothesis
import pytest

from tests.equivalent_mutants import EQUIVALENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

ROOT = Path(__file__).parent.parent
_PATIENCE = 4  # times what its tests take without a change: a change may make a loop that never ends
_SECONDS = 120
_LEARNING = 3600
_MEMORY = 8 << 30
_FILE = 1 << 28  # bytes of a file: a change may write without an end
_BROKEN = 99
_TESTS = (
    "tests/parameters",
    "tests/onnxfile",
    "tests/codec/test_residue.py",
    "tests/decoding",
    "tests/faults/test_hostile_graphs.py",
    "tests/faults/test_replaced_pairs.py",
    "tests/roundtrip/test_external_data.py",
    "tests/roundtrip/test_lists_with_payloads.py",
    "tests/roundtrip/test_long_lists.py",
    "tests/roundtrip/test_roundtrip_property.py",
    "tests/roundtrip/test_scenarios.py",
    "tests/roundtrip/test_unusual_files.py",
)

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


class Change(NamedTuple):
    """A changed source.

    Attributes:
        line: where the statement starts that was changed.
        told: the place, and the statement before and after.
        source: with the change.
    """

    line: int
    told: str
    source: str


def in_package(file: str) -> str:
    """The name of a module within graphml_onnx, by its file: several packages have a module of one name."""
    return ".".join(Path(file).with_suffix("").parts[1:])


def mutants(source: str, module: str) -> Iterator[Change]:
    """Each changed source of a module, which has its name within the package."""
    tree = ast.parse(source)
    owners: dict[ast.AST, str] = {}
    statements: dict[ast.AST, ast.stmt] = {}
    for function, statement in _statements(tree):
        for inner in ast.walk(statement):
            if not isinstance(statement, ast.AnnAssign):
                owners[inner] = function.name
            statements[inner] = statement
    places = [
        (parent, name, index, child)
        for parent in ast.walk(tree)
        for name, value in ast.iter_fields(parent)
        for index, child in (enumerate(value) if isinstance(value, list) else [(None, value)])
        if isinstance(child, ast.AST) and child in owners
    ]
    for parent, name, index, child in places:
        place = f"{module}.{owners[child]}"
        statement = statements[child]
        before = _first_line(statement)
        for other in changes(child):
            _put(parent, name, index, ast.copy_location(copy.deepcopy(other), child))
            ast.fix_missing_locations(parent)
            after = _first_line(other if child is statement else statement)
            if (place, before, after) not in EQUIVALENT:
                told = f"{place}, line {getattr(child, 'lineno', 0)}: {before}  ->  {after}"
                yield Change(statement.lineno, told, ast.unparse(tree))
            _put(parent, name, index, child)


def _first_line(statement: ast.AST) -> str:
    return ast.unparse(statement).partition("\n")[0]


def _statements(tree: ast.AST) -> Iterator[tuple[ast.FunctionDef, ast.stmt]]:
    """The statements of functions; those that lie in others come after these."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for statement in function.body:
                for inner in ast.walk(statement):
                    if isinstance(inner, ast.stmt):
                        yield function, inner


_REACHED = "_reached_by_a_test"


def noting(source: str) -> str:
    """The source with a call of `_REACHED` before each statement of a function, with the line of the statement."""
    tree = ast.parse(source)
    for function in [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]:
        _note(function)
    return ast.unparse(ast.fix_missing_locations(tree))


def _note(owner: ast.AST) -> None:
    for _, value in ast.iter_fields(owner):
        if not isinstance(value, list) or not value or isinstance(owner, ast.ClassDef):
            continue
        if isinstance(value[0], ast.stmt):
            told = [ast.parse(f"{_REACHED}({statement.lineno})").body[0] for statement in value]
            for statement in value:
                if not isinstance(statement, ast.FunctionDef):
                    _note(statement)
            value[:] = [each for pair in zip(told, value, strict=True) for each in pair]
        elif isinstance(value[0], ast.ExceptHandler | ast.match_case):
            for inner in value:
                _note(inner)


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
    forget()


def forget() -> None:
    """Empties all caches, as what is in them depends on code that changes."""
    for name, module in list(sys.modules.items()):
        if name.startswith("graphml_onnx."):
            for value in list(vars(module).values()):
                if hasattr(value, "cache_clear"):
                    value.cache_clear()


def _survivors(output: Path) -> set[str]:
    """What an earlier output says of the changes that no test noticed, without the lines, which may have moved."""
    lines = [line.strip() for line in output.read_text("utf-8").splitlines()]
    told = [line.removeprefix("survives: ").rpartition("  (")[0] for line in lines if line.startswith("survives: ")]
    return set(map(_without_line, told))


def _without_line(told: str) -> str:
    return re.sub(r", line \d+: ", ": ", told, count=1)


class _Reached(NamedTuple):
    """What a test reaches, and how long it takes.

    Attributes:
        seconds: of the test.
        lines: the file and the line of each statement.
    """

    seconds: float
    lines: frozenset[tuple[str, int]]


class _Loop:
    """In the place of pytest's loop over the tests: runs them for each change."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._modules = {
            file: importlib.import_module(file.removesuffix(".py").replace("/", ".")) for file in options.file
        }
        self.alive = 0

    def pytest_collection(self) -> None:
        """Random tests are the same for all changes, and a failure is enough."""
        phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
        profile = hypothesis.settings.get_profile("fast")
        hypothesis.settings.register_profile("mutants", profile, derandomize=True, database=None, phases=phases)
        hypothesis.settings.load_profile("mutants")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        again = None if self._options.again is None else _survivors(self._options.again)
        reached = self._learn(session)
        for file, module in self._modules.items():
            original = (ROOT / file).read_text("utf-8")
            found = [
                change
                for change in mutants(original, in_package(file))
                if again is None or _without_line(change.told) in again
            ]
            if self._options.sample is not None and self._options.sample < len(found):
                found = random.Random(self._options.seed).sample(found, self._options.sample)
            alive = 0
            for change in found:
                items, seconds = self._chosen(session.items, reached, (file, change.line))
                if not items or not self._fails(session, items, seconds, module, change):
                    alive += 1
                    told = f"{change.told}  ({len(items)} tests)"
                    print(f"  survives: {told}", flush=True)
            self.alive += alive
            print(f"{file}: {len(found)} changes, {alive} unnoticed", flush=True)
        return True

    def _learn(self, session: pytest.Session) -> list[_Reached]:
        """What each test reaches."""

        def learn(folder: Path) -> int:
            lines: set[tuple[str, int]] = set()
            for file, module in self._modules.items():
                setattr(module, _REACHED, lambda line, file=file: lines.add((file, line)))
                put_in_place(module, noting((ROOT / file).read_text("utf-8")))
            found: list[_Reached] = []
            start = time.process_time()
            for _ in self._run(session, session.items):
                seconds = time.process_time() - start
                found.append(_Reached(seconds, frozenset(lines)))
                lines.clear()
                forget()
                start = time.process_time()
            (folder / "reached").write_bytes(pickle.dumps(found))
            return len(found) != len(session.items)

        with tempfile.TemporaryDirectory(prefix="g2o-mutant-") as folder:
            if _forked(learn, Path(folder), seconds=_LEARNING):
                sys.exit("the tests fail without a change")
            found: list[_Reached] = pickle.loads((Path(folder) / "reached").read_bytes())
        print(f"{len(found)} tests, {sum(test.seconds for test in found):.0f} s", flush=True)
        return found

    def _chosen(
        self, items: list[pytest.Item], reached: list[_Reached], statement: tuple[str, int]
    ) -> tuple[list[pytest.Item], int]:
        """The tests that reach a statement, the quickest first, as many as may be run, and how long they may take."""
        concerned = [(test.seconds, number) for number, test in enumerate(reached) if statement in test.lines]
        chosen = []
        seconds = 0.0
        for cost, number in sorted(concerned):
            seconds += cost
            if chosen and seconds > self._options.budget:
                break
            chosen.append(items[number])
        return chosen, 5 + _PATIENCE * round(seconds)

    def _fails(
        self, session: pytest.Session, items: list[pytest.Item], seconds: int, module: ModuleType, change: Change
    ) -> bool:
        """Whether a test fails in a fork with this change, or the fork does not end."""

        def try_it(folder: Path) -> int:
            resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
            resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
            resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE, _FILE))
            put_in_place(module, change.source)
            session.config.option.basetemp = str(folder)
            return sum(1 for _ in self._run(session, items)) < len(items)

        with tempfile.TemporaryDirectory(prefix="g2o-mutant-", ignore_cleanup_errors=True) as folder:
            status = _forked(try_it, Path(folder, "base"), seconds=_SECONDS)
        if status == _BROKEN:
            print("  not tried, as the function would need other cells:", change.told, flush=True)
        return status != 0

    @staticmethod
    def _run(session: pytest.Session, items: list[pytest.Item]) -> Iterator[pytest.Item]:
        """Runs the tests one by one until one fails, and gives those that passed."""
        for item, following in zip(items, [*items[1:], None], strict=True):
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
            if session.testsfailed:
                return
            yield item


def _forked(work: Callable[[Path], int], folder: Path, *, seconds: float) -> int:
    """The exit code of a fork that does the work; negative if it was ended."""
    process = os.fork()
    if process == 0:
        try:
            for stream in (1, 2):
                os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
            os._exit(work(folder))
        finally:
            os._exit(_BROKEN)
    deadline = time.monotonic() + seconds
    while (ended := os.waitpid(process, os.WNOHANG)) == (0, 0):
        if time.monotonic() > deadline:
            os.kill(process, signal.SIGKILL)
        time.sleep(0.002)
    return os.waitstatus_to_exitcode(ended[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="+", help="from the root of the repository")
    parser.add_argument("--sample", type=int, help="this many changes of each file, chosen by --seed")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--again", type=Path, help="only those that survived in this earlier output")
    parser.add_argument("--budget", type=float, default=20, help="seconds of tests for a change (default: %(default)s)")
    parser.add_argument("--tests", nargs="+", default=_TESTS)
    options = parser.parse_args()
    os.chdir(ROOT)
    loop = _Loop(options)
    pytest.main(["-q", "-n", "0", "-p", "no:cacheprovider", "-s", "-m", "not slow", *options.tests], [loop])
    sys.exit(bool(loop.alive))


if __name__ == "__main__":
    main()
