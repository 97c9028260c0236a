"""A model as a read-only graph: its modules, operators, tensors and parameters, with look-ups by name."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, TypeVar

from graphml_onnx.codec.scalars import string_of
from graphml_onnx.errors import UsageError
from graphml_onnx.graph.building import Words, build, own_parameters
from graphml_onnx.graph.macs import multiplying
from graphml_onnx.graph.of_file import OfFile
from graphml_onnx.graph.shapes import add_types, inferred_model
from graphml_onnx.graph.types import TypeReader

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import ExitStack
    from pathlib import Path
    from types import TracebackType

    import networkx as nx

    from graphml_onnx.graph.elements import Body, Module, Operator, Parameter, Tensor
    from graphml_onnx.graph.loading import LoadedGraph
    from graphml_onnx.graph.weights import Storage
    from graphml_onnx.support.notices import Notice
    from graphml_onnx.support.strictjson import Json

_Named = TypeVar("_Named")

_NEAREST = 3
_SEARCHED = 20_000  # names that are compared letter by letter
_SHOWN = 80  # characters of a name that a message suggests


class ModelGraph(OfFile):
    """A model as a graph, made by `graphml_onnx.open`. Weights are only read on demand.

    It keeps its files open. `close` it, use it in a ``with`` statement, or leave that to the garbage collector.

    Attributes:
        path: the file that it was made from; None for a model in memory.
        main: the main graph.
        functions: the model's functions, by domain, name and overload.
        multiplying: the functions that multiply matrices, or may; see `macs_of`.
        root: the outermost module, which is the whole model, and the root of the main graph.
        hierarchy_source: where the modules come from: metadata, tags, exporter, names or none.
        inner_modules: how many modules bodies and functions have; see `Body.root`.
        findings: what a reader should know about the modules, and about shapes that were asked for and could not be
            inferred, one line each.
    """

    def __init__(self, loaded: LoadedGraph, path: Path | None, stack: ExitStack) -> None:
        self._finalizer = weakref.finalize(self, stack.close)
        self._model = loaded.model
        self._loaded = loaded
        self._storage: Storage = loaded.storage
        self._types = TypeReader()
        self._words = Words()
        self._lacks_shapes = loaded.infers_shapes
        self._owners: Mapping[Module, Sequence[Parameter]] | None = None
        self.path = path
        self.hierarchy_source = loaded.hierarchy.source
        self.inner_modules = loaded.hierarchy.inner_modules
        self.findings: tuple[Notice, ...] = (*loaded.findings, *loaded.hierarchy.findings)
        self.functions: dict[tuple[str, str, str], Body] = {}
        self.main: Body
        self.root: Module
        build(self, loaded.model, loaded.hierarchy)
        self.multiplying = multiplying(self.functions)

    # The model

    @property
    def name(self) -> str:
        """Name of the main graph."""
        return string_of(self._model.graph.name)

    @property
    def ir_version(self) -> int:
        """Version of ONNX's IR."""
        return self._model.ir_version

    @property
    def opsets(self) -> Mapping[str, int]:
        """Versions of the operator sets by domain; ONNX's own is ``""``."""
        return {string_of(entry.domain): entry.version for entry in self._model.opset_import}

    @property
    def producer(self) -> str:
        """What made the model, with its version."""
        return " ".join(filter(None, (string_of(self._model.producer_name), string_of(self._model.producer_version))))

    @property
    def metadata(self) -> Mapping[str, str]:
        """The model's ``metadata_props``."""
        return {string_of(entry.key): string_of(entry.value) for entry in self._model.metadata_props}

    @property
    def doc_string(self) -> str:
        """The model's documentation."""
        return string_of(self._model.doc_string)

    # Lists

    @property
    def inputs(self) -> Sequence[Tensor]:
        """The model's inputs, in their order; initializers that are inputs too are left out."""
        return [tensor for tensor in self.main.inputs if tensor.parameter is None]

    @property
    def outputs(self) -> Sequence[Tensor]:
        """The model's outputs, in their order."""
        return self.main.outputs

    @property
    def operators(self) -> Sequence[Operator]:
        """The operators of the main graph, in their order."""
        return self.main.operators

    @property
    def tensors(self) -> Sequence[Tensor]:
        """The tensors of the main graph."""
        return list(self.main.tensors.values())

    @property
    def modules(self) -> Sequence[Module]:
        """All modules of the main graph except the model itself, each before those in it; see `all_modules`."""
        return list(self.root.descendants())

    @property
    def bodies(self) -> Sequence[Body]:
        """All bodies: the main graph, functions, and the graphs in their operators' attributes."""
        return [body for outer in (self.main, *self.functions.values()) for body in outer.walk()]

    @property
    def parameters(self) -> Sequence[Parameter]:
        """All parameters: initializers, sparse initializers and constants of all bodies."""
        return [parameter for body in self.bodies for parameter in body.parameters]

    def all_operators(self) -> Iterator[Operator]:
        """The operators of all bodies."""
        for body in self.bodies:
            yield from body.operators

    def all_modules(self) -> Iterator[Module]:
        """The model, and the modules of all bodies with their roots, each before those in it; functions at the end."""
        for root in (self.root, *(body.root for body in self.functions.values())):
            if root is not None:
                yield from root.walk(bodies=True)

    # Lookups

    def module(self, path: str) -> Module:
        """The module with a path or a tag; the first of several, the main graph first.

        A module of a body has also the name ``BODY/PATH``, and the root of a body the path of the body.

        Raises:
            UsageError: there is none; the message names the nearest.
        """
        return self._found("module", path, self.modules_by_name())

    def modules_by_name(self) -> Mapping[str, Module]:
        """The modules by path and tag, and the model by its graph's name; see `module`."""
        modules = [*self.all_modules()]
        modules.sort(key=lambda module: module.body is not self.main)
        modules.reverse()
        tags = {module.tag: module for module in modules if module.tag}
        labels = {module.label: module for module in modules}
        paths = {module.path: module for module in modules if module is not module.body.root}
        return {self.name: self.root} | tags | labels | paths | {"": self.root}

    def operator(self, name: str) -> Operator:
        """The operator with a name, or with a `label`; the first of several, the main graph first.

        Raises:
            UsageError: there is none; the message names the nearest.
        """
        operators = {operator.label: operator for operator in reversed([*self.all_operators()])}
        return self._found("operator", name, operators)

    def tensor(self, name: str) -> Tensor:
        """The tensor with a name; the first of several, the main graph first.

        Raises:
            UsageError: there is none; the message names the nearest.
        """
        for body in self.bodies:
            if name in body.tensors:
                return body.tensors[name]
        tensors = {name: tensor for body in self.bodies for name, tensor in body.tensors.items()}
        return self._found("tensor", name, tensors)

    def parameter(self, name: str) -> Parameter:
        """The parameter with a name; the first of several, the main graph first.

        Raises:
            UsageError: there is none; the message names the nearest.
        """
        return self._found("parameter", name, {p.name: p for p in reversed(self.parameters)})

    def operators_of_type(self, op_type: str) -> Sequence[Operator]:
        """The operators of a type, in all bodies; none if there is none."""
        return [operator for operator in self.all_operators() if operator.op_type == op_type]

    # What becomes of it

    def to_networkx(self, *, parameters: bool = True) -> nx.MultiDiGraph[str]:
        """The dataflow as a networkx graph to analyse; `graphml_onnx.to_networkx` gives one that can be written back.

        Nodes are operators, those of bodies and functions too, inputs, outputs and parameters, called by their labels.
        All have a ``kind`` (op, input, output, parameter) and a ``body``. Operators have ``name``, ``op_type``,
        ``domain``, ``index``, ``module``, ``module_class`` and ``attributes``, a dict of Python values; the others have
        ``dtype`` and ``shape``, parameters ``module``, ``size`` and ``nbytes`` too. An edge is what an operator takes:
        ``tensor``, ``dtype``, ``shape``, ``input_index`` (None for what a body gives its operator, and for outputs
        of the model). No key is left out. The graph has the facts of the model by the names of this class.

        Args:
            parameters: whether initializers are nodes; Constants are operators.
        """
        from graphml_onnx.graph.networks import network_of

        return network_of(self, parameters=parameters)

    def to_dict(self) -> dict[str, Json]:
        """The model as JSON values."""
        return {
            "path": None if self.path is None else str(self.path),
            "name": self.name,
            "ir_version": self.ir_version,
            "opsets": dict(self.opsets),
            "producer": self.producer,
            "metadata": dict(self.metadata),
            "hierarchy_source": self.hierarchy_source,
            "inputs": [tensor.to_dict() for tensor in self.inputs],
            "outputs": [tensor.to_dict() for tensor in self.outputs],
            "modules": self.root.to_dict(),
            "operators": [operator.to_dict() for operator in self.all_operators()],
            "parameters": [parameter.to_dict() for parameter in self.parameters],
        }

    def close(self) -> None:
        """Closes the files; weights can no longer be read."""
        self._finalizer()

    def __enter__(self) -> ModelGraph:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        where = f" of {self.path}" if self.path is not None else ""
        return (
            f"<ModelGraph {self.name!r}{where}: {len(self.operators):,} operators, {len(self.modules):,} modules, "
            f"{len(self.parameters):,} parameters>"
        )

    def _repr_html_(self) -> str:
        """For notebooks: the page of `g2o view` in a frame; for a model with a large page, a table."""
        from importlib import import_module

        # By name: viewing imports this package, so this package cannot import it at the top.
        frame: str | None = import_module("graphml_onnx.viewing.api").frame_of(self)
        return self._table() if frame is None else frame

    def _table(self) -> str:
        from html import escape

        rows = [
            ("model", self.name),
            ("producer", self.producer),
            ("opsets", ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in self.opsets.items())),
            ("inputs", ", ".join(f"{tensor.name}: {tensor.type}" for tensor in self.inputs)),
            ("outputs", ", ".join(f"{tensor.name}: {tensor.type}" for tensor in self.outputs)),
            ("operators", f"{len(self.operators):,}"),
            ("modules", f"{len(self.modules):,} from {self.hierarchy_source}"),
            ("parameters", f"{len(self.parameters):,}, {sum(p.nbytes for p in self.parameters):,} bytes"),
        ]
        cells = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in rows)
        return f"<table>{cells}</table>"

    def _infer_shapes(self) -> None:
        """Adds the shapes that inference finds, once; it takes as long as all the rest, and is not always needed."""
        if self._lacks_shapes:
            self._lacks_shapes = False
            inferred, findings = inferred_model(self._model, self._storage)
            self.findings += findings
            if inferred is not None:
                add_types(self.main, inferred.graph)

    def _found(self, kind: str, name: str, known: Mapping[str, _Named]) -> _Named:
        if name in known:
            return known[name]
        raise not_found(kind, name, known).at(file=self.path)

    def _owned(self) -> Mapping[Module, Sequence[Parameter]]:
        """The parameters by the module that owns them; computed on first use."""
        if self._owners is None:
            self._owners = own_parameters(self, self._loaded.hierarchy)
        return self._owners


def not_found(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """The error for a name that does not exist; its remedy names the nearest of those that do."""
    near = _nearest(name, [key for key in known if key])
    shown = ", ".join(repr(key if len(key) <= _SHOWN else f"{key[:_SHOWN]}…") for key in near)
    remedy = f"the nearest are {shown}" if near else f"there are no {kind}s with names"
    return UsageError(f"there is no {kind} {name!r}", remedy=remedy)


def _nearest(name: str, known: Sequence[str]) -> Sequence[str]:
    """Three names: those that are spelt alike, or else those that contain the last part of it, or else any like it."""
    import difflib

    searched = known[:_SEARCHED]
    near = difflib.get_close_matches(name, searched, n=_NEAREST, cutoff=0.5)
    if not near:
        last = name.replace("/", ".").rsplit(".", 1)[-1]
        near = [key for key in known if last and last in key][:_NEAREST]
    return near or difflib.get_close_matches(name, searched, n=_NEAREST, cutoff=0.0)
