"""Changes the code that moves bytes in small ways, one at a time, and expects a test to fail for each.

``python -m tests.mutants graphml_onnx/parameters/chunks.py`` prints the changes that no test noticed. Comparisons,
arithmetic, numbers, conditions and statements are changed. Survivors that change nothing anyone can see are listed in
`EQUIVALENT`, each with its reason.

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

_MORE_WORK = "messages without anything to find are entered too, which takes time only"
_IMPORTED = (
    "runs when the module is imported, before the fork; by hand: the module cannot be imported, or test_schema fails"
)
_A_GUESS = "the width is a guess, which each row is compared with; other numbers are found by _any_varints"
_NEGATIVE = "NumPy takes any negative number for a length that follows from the others"
_OTHER_WAY = "what is not found this way is found by _any_varints"

EQUIVALENT = {
    ("extents.model_routes", "_drop_dead_ends(routes)", "pass"): _MORE_WORK,
    ("extents.resize", "if position < size:", "if position <= size:"): "a piece of no bytes more",
    ("extents._drop_dead_ends", "count = -1", "count = -2"): "no number of routes is negative",
    (
        "extents.find_extents",
        "window, base, stop = (b'', 0, 0)",
        "window, base, stop = (b'', 1, 0)",
    ): "it is set when the first window is read",
    (
        "extents.find_extents",
        "last_tag = repeats = run_at = judged = -1",
        "last_tag = repeats = run_at = judged = -2",
    ): "no tag and no place is negative",
    (
        "extents.find_extents",
        "if repeats > _RUN and run_at != judged:",
        "if repeats > _RUN or run_at != judged:",
    ): "lists of fewer than _RUN items are looked at too, and are too short to be taken",
    (
        "extents.resize",
        "if position < extent.length_at:",
        "if position <= extent.length_at:",
    ): "a piece of no bytes more",
    (
        "extents.find_extents",
        "repeats += 1",
        "repeats += 2",
    ): "the same lists are found after half as many items, from their start",
    (
        "extents.find_extents",
        "if repeats > _RUN and run_at != judged:",
        "if repeats >= _RUN and run_at != judged:",
    ): "the same lists are found one item earlier, from their start",
    (
        "extents.find_extents",
        "if repeats > _RUN and run_at != judged:",
        "if repeats <= _RUN and run_at != judged:",
    ): "the same lists are found at their second item, from their start",
    ("extents.find_extents", "last_tag = -1", "last_tag = -2"): "no tag is negative",
    (
        "extents.find_extents",
        "base, stop = (position, position + len(window))",
        "base, stop = (position, position - len(window))",
    ): "the window is read again for each field, which takes time only",
    (
        "extents.find_extents",
        "last_tag, repeats, run_at = (tag, 0, position)",
        "last_tag, repeats, run_at = (tag, 1, position)",
    ): "the same lists are found one item earlier, from their start",
    (
        "extents.find_extents",
        "position, last_tag = (run_end, -1)",
        "position, last_tag = (run_end, -2)",
    ): "no tag is negative",
    (
        "extents.find_extents",
        "position, last_tag = (start, -1)",
        "position, last_tag = (start, -2)",
    ): "no tag is negative",
    ("external._reaches_tensors", "return False", "return True"): _MORE_WORK,
    (
        "external._reaches_tensors",
        "if schema.message_name(current) == 'TensorProto':",
        "if schema.message_name(current) != 'TensorProto':",
    ): _MORE_WORK,
    (
        "external._read_entry",
        "problem = ExternalTensor(path, name, '', 0, None)",
        "problem = ExternalTensor(path, name, '', 1, None)",
    ): "what is refused tells no offset",
    ("lists._varints_of_one_width", "width = int(ends[0]) + 1", "width = int(ends[0]) + 2"): _A_GUESS,
    ("lists._varints_of_one_width", "alike &= rows[:, index] >= 128", "alike &= rows[:, index] > 128"): _OTHER_WAY,
    (
        "lists._varints_of_one_width",
        "alike &= rows[:, index] >= 128",
        "alike &= rows[:, index] < 128",
    ): "the first is not so, as its width says; what is not found this way is found by _any_varints",
    (
        "lists._varints_of_one_width",
        "if 2 * count * stride < len(numbers):",
        "if 2 * count // stride < len(numbers):",
    ): _OTHER_WAY,
    (
        "lists._short_texts",
        "if count < len(fields) and ends[count - 1] > fields[count]:",
        "if count < len(fields) and ends[count - 1] >= fields[count]:",
    ): "an item that is cut off or too long ends the run in either way",
    (
        "lists.varint_fields",
        "width = varint_size(int(np.max(values))) if len(values) else 1",
        "width = varint_size(int(np.max(values))) if len(values) else 2",
    ): "no numbers are no bytes",
    (
        "lists._varints_of_one_width",
        "ends = np.flatnonzero(numbers[head:head + MAX_VARINT_BYTES] < 128)",
        "ends = np.flatnonzero(numbers[head:head + MAX_VARINT_BYTES] < 129)",
    ): _A_GUESS,
    ("lists._varints_of_one_width", "alike &= rows[:, index] >= 128", "alike &= rows[:, index] >= 129"): _OTHER_WAY,
    ("lists._any_varints", "starts[:1] = 0", "starts[:2] = 0"): "the next line sets the second",
    (
        "lists._any_varints",
        "tags, last = ends[:len(ends) // 2 * 2].reshape(-1, 2).T",
        "tags, last = ends[:len(ends) // 2 * 2].reshape(-2, 2).T",
    ): _NEGATIVE,
    (
        "lists.fixed_values",
        "rows = np.frombuffer(data, np.uint8).reshape(-1, head + width)",
        "rows = np.frombuffer(data, np.uint8).reshape(-2, head + width)",
    ): _NEGATIVE,
    (
        "lists.fixed_values",
        "return np.ascontiguousarray(rows[:, head:]).view(f'<u{width}').reshape(-1)",
        "return np.ascontiguousarray(rows[:, head:]).view(f'<u{width}').reshape(-2)",
    ): _NEGATIVE,
    (
        "lists.fixed_fields",
        "rows[:, head:] = bits.astype(f'<u{width}', copy=False).view(np.uint8).reshape(-1, width)",
        "rows[:, head:] = bits.astype(f'<u{width}', copy=False).view(np.uint8).reshape(-2, width)",
    ): _NEGATIVE,
    (
        "lists._chain",
        "chain = np.stack((chain, ahead[chain]), axis=1).reshape(-1)",
        "chain = np.stack((chain, ahead[chain]), axis=1).reshape(-2)",
    ): _NEGATIVE,
    (
        "lists._chain",
        "numbers = np.full(size + 1, count)",
        "numbers = np.full(size + 2, count)",
    ): "a place more, which nothing leads to",
    (
        "lists._varints_of_one_width",
        "ends = np.flatnonzero(numbers[head:head + MAX_VARINT_BYTES] < 128)",
        "ends = np.flatnonzero(numbers[head:head - MAX_VARINT_BYTES] < 128)",
    ): _A_GUESS,
    (
        "lists._varints_of_one_width",
        "alike &= rows[:, -1] == 1 if width == MAX_VARINT_BYTES else rows[:, -1] != 0",
        "alike &= rows[:, -2] == 1 if width == MAX_VARINT_BYTES else rows[:, -1] != 0",
    ): _OTHER_WAY,
    (
        "lists.fixed_fields",
        "rows[:, head:] = bits.astype(f'<u{width}', copy=False).view(np.uint8).reshape(-1, width)",
        "rows[:, head:] = bits.astype(f'<u{width}', copy=True).view(np.uint8).reshape(-1, width)",
    ): "a copy has the same bits",
    (
        "lists.read_spelled",
        "return (b''.join([data[at - width:at] for at in range(start + step, end + 1, step)]), end)",
        "return (b''.join([data[at - width:at] for at in range(start + step, end + 2, step)]), end)",
    ): "an item has two bytes at least",
    ("lists.pieces", "size *= 2", "size *= 3"): "a longer piece has the same items",
    (
        "lists._varints_of_one_width",
        "if 2 * count * stride < len(numbers):",
        "if 3 * count * stride < len(numbers):",
    ): "pieces are shorter, and their items the same",
    ("lists.pieces", "while start < end:", "while start <= end:"): "in no bytes there is no item",
    (
        "lists._varints_of_one_width",
        "ends = np.flatnonzero(numbers[head:head + MAX_VARINT_BYTES] < 128)",
        "ends = np.flatnonzero(numbers[head:head + MAX_VARINT_BYTES] <= 128)",
    ): _A_GUESS,
    (
        "lists._varints_of_one_width",
        "ends = np.flatnonzero(numbers[head:head + MAX_VARINT_BYTES] < 128)",
        "ends = np.flatnonzero(numbers[head:head + MAX_VARINT_BYTES] >= 128)",
    ): _A_GUESS,
    ("lists._varints_of_one_width", "alike = rows[:, -1] < 128", "alike = rows[:, -1] >= 128"): _OTHER_WAY,
    (
        "lists._varints_of_one_width",
        "if width > 1:",
        "if width >= 1:",
    ): "a zero of one byte ends the piece, and the next piece begins with it",
    (
        "lists._varints_of_one_width",
        "if 2 * count * stride < len(numbers):",
        "if 2 * count * stride <= len(numbers):",
    ): _OTHER_WAY,
    (
        "lists._varints_of_one_width",
        "if 2 * count * stride < len(numbers):",
        "if 2 * count * stride >= len(numbers):",
    ): "pieces are shorter, and their items the same",
    (
        "locate._field_at",
        "while position < end:",
        "while position <= end:",
    ): "the byte lies before the end, so nothing is found there",
    (
        "locate._field_at",
        "return (f'field {number}', None, content, content + length)",
        "return (f'field {number}', None, content, content - length)",
    ): "nobody looks into an unknown field, so its end is not used",
    (
        "messages._within",
        "groups += 1 if kind == START_GROUP else -1",
        "groups += 1 if kind != START_GROUP else -1",
    ): "counted downwards; what is not 0 is within a group",
    ("schema._build_pool", "onnx.ModelProto.DESCRIPTOR.file.CopyToProto(file)", "pass"): _IMPORTED,
    ("schema._build_pool", "pool.AddSerializedFile(file.SerializeToString())", "pass"): _IMPORTED,
    ("schema._make_exact", "_make_exact(nested)", "pass"): _IMPORTED,
    ("schema._build_pool", "_make_exact(message)", "pass"): _IMPORTED,
    ("schema._make_exact", "if exact is not None:", "if exact is None:"): _IMPORTED,
    ("schema._make_exact", "field.ClearField('type_name')", "pass"): _IMPORTED,
    (
        "schema._make_exact",
        "field.ClearField('default_value')",
        "pass",
    ): "no field of ONNX that gets another type has a default",
    (
        "skeleton.read_marker",
        "if len(content) != MARKER_BYTES or not content.startswith(nonce):",
        "if len(content) != MARKER_BYTES and (not content.startswith(nonce)):",
    ): "the marker is compared as a whole after it",
    ("skeleton._find_all", "while position >= 0:", "while position > 0:"): "a tag stands before each marker",
    ("skeleton._find_all", "while position >= 0:", "while position >= 1:"): "a tag stands before each marker",
    (
        "skeleton.selects",
        "return bool(route.fields) and first < len(places) and (places[first] < end)",
        "return bool(route.fields) and first < len(places) and (places[first] <= end)",
    ): _MORE_WORK,
    (
        "skeleton.selects",
        "return end - start > shortest_message and bool(route.fields)",
        "return end - start >= shortest_message and bool(route.fields)",
    ): _MORE_WORK,
    (
        "skeleton.selects",
        "return end - start > shortest_message and bool(route.fields)",
        "return end + start > shortest_message and bool(route.fields)",
    ): _MORE_WORK,
    ("source._read_some", "os.lseek(descriptor, offset, os.SEEK_SET)", "pass"): "runs on Windows only",
    ("source.read", "if len(data) < length:", "if len(data) <= length:"): "the rest is no bytes",
    (
        "source.close",
        "descriptor, self._descriptor = (self._descriptor, -1)",
        "descriptor, self._descriptor = (self._descriptor, -2)",
    ): "any negative number says that it is closed",
    (
        "chunks._thread",
        "pool.shutdown(wait=False, cancel_futures=True)",
        "pass",
    ): "where the thread did not start, there is none to wait for",
    (
        "chunks.__init__",
        "self._pool = _thread() if descriptor is not None and sys.platform == 'linux' else None",
        "self._pool = _thread() if descriptor is not None or sys.platform == 'linux' else None",
    ): "a thread that gets no work",
    (
        "chunks._thread",
        "pool.shutdown(wait=False, cancel_futures=True)",
        "pool.shutdown(wait=True, cancel_futures=True)",
    ): "where the thread did not start, there is none to wait for",
    (
        "chunks._thread",
        "pool.shutdown(wait=False, cancel_futures=True)",
        "pool.shutdown(wait=False, cancel_futures=False)",
    ): "the one call in it is `int`, which nobody waits for",
    (
        "safetensors.header_of",
        "for tensor, offset in zip(layout.order, layout.offsets, strict=True):",
        "for tensor, offset in zip(layout.order, layout.offsets, strict=False):",
    ): "there are as many offsets as tensors",
    (
        "safetensors.parse_header",
        "kind = 'overlaps the tensor before it' if tensor.offset < end else 'leaves a gap before it'",
        "kind = 'overlaps the tensor before it' if tensor.offset <= end else 'leaves a gap before it'",
    ): "it is not the end, as the line before says",
    (
        "store._open",
        "descriptor = os.open(path, OPEN_FLAGS | getattr(os, 'O_NOFOLLOW', 0))",
        "descriptor = os.open(path, OPEN_FLAGS | getattr(os, 'O_NOFOLLOW', 1))",
    ): "what systems without O_NOFOLLOW have, and no test runs there",
    (
        "transfer.collect",
        "threaded = source.size > limits.LIMITS.threads",
        "threaded = source.size >= limits.LIMITS.threads",
    ): "threads change how long it takes, and nothing else",
    (
        "transfer.collect",
        "threaded = source.size > limits.LIMITS.threads",
        "threaded = source.size <= limits.LIMITS.threads",
    ): "threads change how long it takes, and nothing else",
    (
        "transfer._cut",
        "while current < len(payloads) and payloads[current].offset < end:",
        "while current < len(payloads) and payloads[current].offset <= end:",
    ): "a part of no bytes more, where a payload starts with the next chunk",
    (
        "residue.make_residue",
        "too_long = len(original) > _MAX_GROWTH * (len(canonical) + len(patch))",
        "too_long = len(original) >= _MAX_GROWTH * (len(canonical) + len(patch))",
    ): "both patches give the same file; the limit is on how well they compress",
    (
        "residue._prefix",
        "return zstd.ZstdDict(canonical, is_raw=True).as_prefix if len(canonical) >= 8 else None",
        "return zstd.ZstdDict(canonical, is_raw=True).as_prefix if len(canonical) > 8 else None",
    ): "both directions do the same, and so short a dictionary saves nothing",
    (
        "residue._window_log",
        "return min(31, max(10, size.bit_length() + 1))",
        "return min(32, max(10, size.bit_length() + 1))",
    ): "windows of more than 2 GiB, which no skeleton has",
    (
        "residue.make_residue",
        "too_long = len(original) > _MAX_GROWTH * (len(canonical) + len(patch))",
        "too_long = len(original) > _MAX_GROWTH * (len(canonical) - len(patch))",
    ): "both patches give the same file; the limit is on how well they compress",
    (
        "residue._prefix",
        "return zstd.ZstdDict(canonical, is_raw=True).as_prefix if len(canonical) >= 8 else None",
        "return zstd.ZstdDict(canonical, is_raw=True).as_prefix if len(canonical) >= 9 else None",
    ): "both directions do the same, and so short a dictionary saves nothing",
    (
        "residue._window_log",
        "return min(31, max(10, size.bit_length() + 1))",
        "return min(31, max(11, size.bit_length() + 1))",
    ): "a larger window than needed",
    (
        "residue._window_log",
        "return min(31, max(10, size.bit_length() + 1))",
        "return min(31, max(10, size.bit_length() + 2))",
    ): "a larger window than needed",
    (
        "residue.apply",
        "original = decompressor.decompress(self.patch, max_length=self.size + 1)",
        "original = decompressor.decompress(self.patch, max_length=self.size + 2)",
    ): "two bytes too many are too many as well",
}
"""Place, statement and change that nobody can notice, and why not."""


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


def mutants(source: str, module: str) -> Iterator[Change]:
    """Each changed source of a module, whose name is without those of its packages."""
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
                for change in mutants(original, Path(file).stem)
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
