"""Turns modules into functions of the model, which tools open one by one, and inlines functions again."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import chain, groupby, islice, repeat
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import onnx
from google.protobuf.message import DecodeError

from graphml_onnx.codec.calls import problem_of_calls
from graphml_onnx.codec.model_check import check_skeleton
from graphml_onnx.codec.module_facts import graphs_of
from graphml_onnx.codec.scalars import string_of
from graphml_onnx.errors import ModelError, UsageError
from graphml_onnx.files import Publication
from graphml_onnx.graph.call_metadata import NOTHING, keep, keep_common, own_of, restore, take
from graphml_onnx.graph.loading import open as open_graph
from graphml_onnx.graph.renaming import all_names, defined_in, rename
from graphml_onnx.graph.structure import look_of
from graphml_onnx.graph.writing import stage_model
from graphml_onnx.onnxfile import schema
from graphml_onnx.onnxfile.schema import parse_model, serialise

if TYPE_CHECKING:
    import os
    from collections.abc import Container, Hashable, Iterable, Iterator, Mapping, Sequence

    from google.protobuf.message import Message

    from graphml_onnx.graph.call_metadata import Own
    from graphml_onnx.graph.elements import Module, Operator
    from graphml_onnx.graph.model_graph import ModelGraph
    from graphml_onnx.results import Progress

DOMAIN: Final = "g2o.modules"
"""The domain of the functions that modules become."""

MODULE_KEY: Final = "g2o.module"
"""Key of the metadata of a call: the path of its module."""

_LOWEST_IR: Final = 8  # the first with functions
_METADATA_IR: Final = 10  # the first with metadata of operators
_TOLD: Final = 20  # modules in the description of a function
_REMEDY: Final = "check the model with onnx.checker"


@dataclass(frozen=True, slots=True)
class FunctionsResult:
    """Outcome of `functions` and `inline`.

    Attributes:
        onnx: the model that was written.
        data: its data file, or None if it has none of its own.
        functions: how many functions it has.
        operators: how many operators its main graph has, including calls of functions.
        split: paths of modules that became several calls, because other operators run between theirs.
    """

    onnx: Path
    data: Path | None
    functions: int
    operators: int
    split: tuple[str, ...] = ()


def functions(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    depth: int | None = None,
    metadata: str | os.PathLike[str] | Mapping[str, object] | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> FunctionsResult:
    """Writes a model whose modules are functions. Modules that look the same share one function.

    Weights stay initializers of the main graph, and are inputs of the functions. If operators of other modules run
    between those of a module, it becomes several functions. Tools that support functions (Netron, ONNX Runtime) open
    and run the result.

    Args:
        model: an ONNX or GraphML file.
        output: the ONNX file to write.
        depth: how many levels of modules become functions; None for all.
        metadata: HTP metadata, which say what the modules are.
        overwrite: whether existing files may be replaced.
        progress: called as the work goes on.

    Raises:
        UsageError: the model has no modules, or they are functions already.
        GraphmlOnnxError: it cannot be read.
        OutputError: the output exists already, or cannot be created.
        StorageError: no space, or a broken disk.
    """
    path, target = Path(model), Path(output)
    with open_graph(path, metadata=metadata) as graph:
        if any(domain == DOMAIN for domain, _, _ in graph.functions):
            told = "its modules are functions already"
            raise UsageError(told, file=path, remedy="turn them into operators first: g2o inline")
        if not graph.modules:
            where = " in its main graph; those in bodies and functions stay" if graph.inner_modules else ""
            remedy = "give `metadata` that describe them"
            raise UsageError(f"the model has no modules{where}", file=path, remedy=remedy)
        folding = _Folding(graph, depth)
        message = folding.message()
        data = _publish(graph, message, path, target, overwrite=overwrite, progress=progress)
        return FunctionsResult(target, data, len(message.functions), len(message.graph.node), tuple(folding.split))


def inline(
    model: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> FunctionsResult:
    """Writes a model without functions: each call is replaced by the operators of its function.

    Args:
        model: an ONNX or GraphML file.
        output: the ONNX file to write.
        overwrite: whether existing files may be replaced.
        progress: called as the work goes on.

    Raises:
        ModelError: onnx cannot inline the functions, or the result is invalid.
        GraphmlOnnxError: the model cannot be read.
        OutputError: the output exists already, or cannot be created.
        StorageError: no space, or a broken disk.
    """
    path, target = Path(model), Path(output)
    with open_graph(path) as graph:
        if (problem := problem_of_calls(graph._model)) is not None:
            raise ModelError(f"its functions cannot be put in: {problem}", file=path, remedy=_REMEDY)
        message = _Unfolding(graph._model).model
        if len(message.functions):
            message = _with_onnx(message, path)
        complaints = check_skeleton(serialise(cast("Message", message)), graph._storage.nonce)
        if complaints and not check_skeleton(serialise(cast("Message", graph._model)), graph._storage.nonce):
            raise ModelError(f"onnx.inliner makes an invalid model of it: {complaints[0].message}", file=path)
        data = _publish(graph, message, path, target, overwrite=overwrite, progress=progress)
        return FunctionsResult(target, data, len(message.functions), len(message.graph.node))


class _Unfolding:
    """Replaces calls by the functions of modules, with names that contain the module of the call."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self.model = cast("onnx.ModelProto", schema.message_class("ModelProto")())
        cast("Message", self.model).CopyFrom(cast("Message", model))
        graph, functions = self.model.graph, self.model.functions
        self._functions = {string_of(f.name): f for f in functions if string_of(f.domain) == DOMAIN}
        self._own_of = take(self.model, self._functions)
        nodes = chain.from_iterable(function.node for function in self._functions.values())
        in_bodies = chain.from_iterable(map(_in_bodies, nodes))  # a body must not hide a new name
        self._tensors = _Names(map(string_of, chain(defined_in(graph), in_bodies)))
        self._operators = _Names(string_of(node.name) for node in graph.node)
        # Names without a path belong to the module that the definition is from.
        self._kept = {string_of(name) for f in self._functions.values() for n in f.node for name in (n.name, *n.output)}
        _replace(graph.node, list(self._put_in(graph.node)))
        if self._functions:
            _replace(functions, [f for f in functions if string_of(f.domain) != DOMAIN])
            kept = [entry for entry in self.model.opset_import if string_of(entry.domain) != DOMAIN]
            _replace(self.model.opset_import, kept)

    def _put_in(self, nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
        under_way = [iter(nodes)]  # the operators of calls within calls, which may be many
        kept: Iterator[Own] = iter(())  # of the operators of the outermost call
        while under_way:
            node = next(under_way[-1], None)
            if node is None:
                under_way.pop()
                continue
            function = self._functions.get(string_of(node.op_type)) if string_of(node.domain) == DOMAIN else None
            if function is None:
                if len(under_way) > 1:
                    restore(node, next(kept))
                yield node
            else:
                if len(under_way) == 1:
                    kept = iter(self._own_of.get(string_of(node.name)) or repeat(NOTHING))
                under_way.append(self._own(function, node))

    def _own(self, function: onnx.FunctionProto, call: onnx.NodeProto) -> Iterator[onnx.NodeProto]:
        """The operators of a function, connected to the tensors of a call."""
        old, new = _first_path(function), string_of(call.name).split("/")[1:-1]
        own_path = re.compile(rf"(?<!\w){'([./])'.join(map(re.escape, old))}(?!\w)")  # with dots, with slashes, or both

        def moved(found: re.Match[str]) -> str:
            if len(new) == len(old):
                return "".join(part + end for part, end in zip(new, (*found.groups(), ""), strict=True))
            return new[0] + "".join(f".{part}" if part.isdigit() else f"/{part}" for part in new[1:])

        def named(name: str | bytes, taken: _Names) -> bytes:
            text = own_path.sub(moved, string_of(name)) if old and new else string_of(name)
            return _bytes(taken.free(text, () if new == old else self._kept)) if text else b""

        names = dict(zip(all_names(function.input), all_names(call.input), strict=False))
        names |= dict(zip(all_names(function.output), all_names(call.output), strict=False))
        for node in function.node:
            names |= {name: named(name, self._tensors) for name in all_names(node.output) if name not in names}
        for node in function.node:
            copy = cast("onnx.NodeProto", schema.message_class("NodeProto")())
            cast("Message", copy).CopyFrom(cast("Message", node))
            copy.name = cast("str", named(node.name, self._operators))
            rename(copy, names)
            yield copy


def _first_path(function: onnx.FunctionProto) -> list[str]:
    """The parts of the path of the module whose names a function has."""
    path = re.match(r"module (.+?)(?:, | and \d+ more$|$)", string_of(function.doc_string))
    return path[1].split(".") if path else []


def _in_bodies(node: onnx.NodeProto) -> Iterator[bytes]:
    for graph in graphs_of(node):
        yield from defined_in(graph)
        for inner in graph.node:
            yield from _in_bodies(inner)


def _with_onnx(model: onnx.ModelProto, path: Path) -> onnx.ModelProto:
    """Inlines functions of other tools with onnx's own inliner."""
    from onnx import inliner

    try:
        whole = onnx.ModelProto.FromString(serialise(cast("Message", model)))
        return parse_model(inliner.inline_local_functions(whole).SerializeToString())
    except (DecodeError, onnx.checker.ValidationError, RuntimeError, ValueError, TypeError) as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"its functions cannot be put in: {reason}", file=path, remedy=_REMEDY) from error


def _publish(
    graph: ModelGraph,
    message: onnx.ModelProto,
    path: Path,
    target: Path,
    *,
    overwrite: bool,
    progress: Progress | None,
) -> Path | None:
    with Publication(overwrite=overwrite, inputs=[path]) as publication:
        staged, data = stage_model(graph, message, path, target, publication, progress)
        publication.publish(last=staged)
    return data


@dataclass(slots=True)
class _Item:
    """An operator of the main graph, or a call that replaces some.

    Attributes:
        node: the exact message.
        taken: names of its inputs, including those that its bodies take from around them.
        made: names of its outputs.
        module: the module that it is in.
        place: its index in `_Folding`'s list.
        operators: those that a call replaces, in their order, also by calls within it; else none.
    """

    node: onnx.NodeProto
    taken: tuple[bytes, ...]
    made: tuple[bytes, ...]
    module: Module
    place: int = -1
    operators: tuple[onnx.NodeProto, ...] = ()


def _own(
    message: onnx.ModelProto, items: Iterable[_Item], functions: Mapping[str, onnx.FunctionProto]
) -> dict[str, list[Own]]:
    """What operators have and `inline` would not give them back, by call."""
    names = (string_of(node.name) for node in _Unfolding(message).model.graph.node)
    found = {}
    for item in items:
        own_names = [*islice(names, len(item.operators) or 1)]
        if item.operators and (own := own_of(item.node, item.operators, own_names, functions)):
            found[string_of(item.node.name)] = own
    return found


class _Folding:
    """Folds modules into calls, the innermost first."""

    def __init__(self, graph: ModelGraph, depth: int | None) -> None:
        self._graph = graph
        self._depth = depth
        self.split: list[str] = []
        items = [_Item(o._node, *_flow(o), self._owner(o.module), n) for n, o in enumerate(graph.operators)]
        # A call takes the place of many, and leaves the others empty, so that nothing behind it has to move.
        self._items: list[_Item | None] = list(items)
        self._by_module: defaultdict[Module, list[_Item]] = defaultdict(list)
        for item in items:
            self._by_module[item.module].append(item)
        self._uses = Counter(name for item in items for name in set(item.taken))
        self._uses.update(_bytes(tensor.name) for tensor in graph.outputs)
        self._by_look: dict[Hashable, onnx.FunctionProto] = {}
        self._names = _Names(name for domain, name, _ in graph.functions if domain == DOMAIN)
        self._calls = _Names(operator.name for operator in graph.operators)
        self._paths: dict[bytes, list[str]] = {}
        self._instances: defaultdict[str, list[Sequence[onnx.NodeProto]]] = defaultdict(list)
        for module in reversed(graph.modules):
            if depth is None or module.depth <= depth:
                self._fold(module)

    def _owner(self, module: Module) -> Module:
        while self._depth is not None and module.depth > self._depth and module.parent is not None:
            module = module.parent
        return module

    def message(self) -> onnx.ModelProto:
        """The folded model as an exact message, with the markers of the whole."""
        message = cast("onnx.ModelProto", schema.message_class("ModelProto")())
        cast("Message", message).CopyFrom(cast("Message", self._graph._model))
        items = [item for item in self._items if item is not None]
        functions = {string_of(function.name): function for function in self._by_look.values()}
        for name, function in functions.items():
            keep_common(function.node, self._instances[name])
        _replace(message.graph.node, [item.node for item in items])
        known = {name for item in items for name in (*item.taken, *item.made)}
        _replace(message.graph.value_info, [v for v in message.graph.value_info if cast("bytes", v.name) in known])
        for function in self._by_look.values():
            paths = self._paths[cast("bytes", function.name)]
            more = f" and {len(paths) - _TOLD} more" if len(paths) > _TOLD else ""
            function.doc_string = cast("str", _bytes(f"module {', '.join(paths[:_TOLD])}{more}"))
        message.functions.extend(self._by_look.values())
        message.ir_version = max(message.ir_version, _LOWEST_IR)
        if DOMAIN not in self._graph.opsets:
            _add_opset(message.opset_import)
        keep(message, _own(message, items, functions))
        return message

    def _fold(self, module: Module) -> None:
        """Replaces the operators of a module by calls."""
        places = [item.place for item in self._by_module.pop(module, ())]
        if not places:
            return
        begin, end = min(places), max(places) + 1
        between = [item for item in self._items[begin:end] if item is not None]
        order: list[tuple[int, _Item]] = []
        levels: dict[bytes, int] = {}  # of tensors: 2n + 1 of the n-th group, 2n of what has to come after n groups
        for item in between:
            level = max((levels.get(name, 0) for name in item.taken), default=0)
            level = level | 1 if item.module is module else level + level % 2
            levels.update(dict.fromkeys(item.made, level))
            order.append((level, item))
        order.sort(key=itemgetter(0))
        by_level = [(level, [item for _, item in entries]) for level, entries in groupby(order, key=itemgetter(0))]
        calls = {level: self._call(module, items) for level, items in by_level if level % 2}
        self._by_module[module.parent or self._graph.root] += calls.values()
        self._items[begin:end] = [None] * (end - begin)
        folded = chain.from_iterable([calls[level]] if level % 2 else items for level, items in by_level)
        for place, item in enumerate(folded, begin):
            item.place = place
            self._items[place] = item
        if len(calls) > 1:
            self.split.append(module.path)

    def _call(self, module: Module, group: Sequence[_Item]) -> _Item:
        """The call of a group of operators; defines its function if necessary."""
        inside = Counter(name for item in group for name in set(item.taken))
        made = [name for item in group for name in item.made]
        own = set(made)
        given = tuple(dict.fromkeys(name for item in group for name in item.taken if name not in own))
        wanted = tuple(name for name in made if self._uses[name] > inside[name]) or tuple(made[-1:])
        nodes = [item.node for item in group]
        parts = [
            ((n.domain, n.op_type, n.overload), all_names(n.input), all_names(n.output), n.attribute) for n in nodes
        ]
        look = (module.class_name, look_of(parts, given, wanted))
        if look not in self._by_look:
            self._by_look[look] = self._function(module, nodes, given, wanted)
        name = cast("bytes", self._by_look[look].name)
        self._paths.setdefault(name, []).append(module.path)
        self._instances[string_of(name)].append(nodes)
        self._uses.subtract(inside)
        self._uses.update(given)
        node = cast("onnx.NodeProto", schema.message_class("NodeProto")())
        node.op_type, node.domain = cast("str", name), cast("str", _bytes(DOMAIN))
        call = f"/{module.path.replace('.', '/')}/{string_of(name)}"
        node.name = cast("str", _bytes(self._calls.free(call)))
        node.input.extend(cast("Sequence[str]", given))
        node.output.extend(cast("Sequence[str]", wanted))
        if self._graph.ir_version >= _METADATA_IR:
            entry = node.metadata_props.add()
            entry.key, entry.value = cast("str", _bytes(MODULE_KEY)), cast("str", _bytes(module.path))
        operators = tuple(chain.from_iterable(item.operators or (item.node,) for item in group))
        return _Item(node, given, wanted, module.parent or self._graph.root, operators=operators)

    def _function(
        self, module: Module, nodes: Iterable[onnx.NodeProto], given: Sequence[bytes], wanted: Sequence[bytes]
    ) -> onnx.FunctionProto:
        function = cast("onnx.FunctionProto", schema.message_class("FunctionProto")())
        function.name, function.domain = cast("str", _bytes(self._name(module))), cast("str", _bytes(DOMAIN))
        function.input.extend(cast("Sequence[str]", given))
        function.output.extend(cast("Sequence[str]", wanted))
        function.node.extend(nodes)
        function.opset_import.extend(self._graph._model.opset_import)
        if DOMAIN not in self._graph.opsets and any(string_of(node.domain) == DOMAIN for node in function.node):
            _add_opset(function.opset_import)
        return function

    def _name(self, module: Module) -> str:
        """A name for the function of a module: its class, or else the last part of its path that is not a number."""
        parts = [part for part in module.path.split(".") if not part.isdigit()]
        base = re.sub(r"\W", "_", module.class_name or (parts[-1] if parts else "module"))
        return self._names.free(base)


class _Names:
    """Names that are taken.

    Args:
        taken: those from the beginning.
    """

    def __init__(self, taken: Iterable[str]) -> None:
        self._taken = set(taken)
        self._last: dict[str, int] = {}  # number that a name got, so that nobody counts from the beginning again

    def free(self, name: str, kept: Container[str] = ()) -> str:
        """The name, with a number if another has it or may get it later; reserves it."""
        found, number = name, self._last.get(name, 1)
        while found in self._taken or found in kept:
            number += 1
            found = f"{name}_{number}"
        self._taken.add(found)
        self._last[name] = number
        return found


def _flow(operator: Operator) -> tuple[tuple[bytes, ...], tuple[bytes, ...]]:
    """Names of an operator's inputs, including those that its bodies take from around them, and of its outputs."""
    taken = [tensor.name for tensor in operator.inputs if tensor is not None]
    taken += [tensor.name for body in operator.bodies for tensor in body.captured if tensor.body is operator.body]
    made = (tensor.name for tensor in operator.outputs if tensor is not None)
    return tuple(map(_bytes, taken)), tuple(map(_bytes, made))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _add_opset(opsets) -> None:  # type: ignore[no-untyped-def]
    entry = opsets.add()
    entry.domain = _bytes(DOMAIN)
    entry.version = 1


def _replace(field, messages) -> None:  # type: ignore[no-untyped-def]
    """Replaces the messages of a repeated field, perhaps by some of its own."""
    copies = [type(message).FromString(message.SerializeToString()) for message in messages]
    del field[:]
    field.extend(copies)
