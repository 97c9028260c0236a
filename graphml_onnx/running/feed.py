"""The inputs for running a model: given, described, or made from what it declares."""

from __future__ import annotations

from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from graphml_onnx.errors import InputError, ModelError, UsageError
from graphml_onnx.inputs.made import (
    RECORDED_INPUTS,
    SEED,
    CannotRunError,
    Declared,
    check_names,
    first_run,
    recorded_specs,
    sized,
)
from graphml_onnx.inputs.specs import read_input_specs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graphml_onnx.graph.model_graph import ModelGraph
    from graphml_onnx.inputs.forms import JsonSource
    from graphml_onnx.inputs.made import Array
    from graphml_onnx.inputs.specs import InputSpec

_Ran = TypeVar("_Ran")

_NAMES = {"FLOAT": "float", "DOUBLE": "double"}  # as onnxruntime calls them


@dataclass(frozen=True, slots=True)
class Inputs:
    """The user's inputs for a model.

    Attributes:
        data: arrays by name, or None.
        specs: descriptions of inputs to make.
        sizes: sizes of dynamic dimensions by their names, for those without a description.
        seed: for random numbers.
    """

    data: Mapping[str, Array] | None = None
    specs: Mapping[str, InputSpec] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)
    seed: int = SEED

    @classmethod
    def read(
        cls,
        data: Mapping[str, Array] | str | PathLike[str] | None,
        specs: JsonSource | None,
        sizes: Mapping[str, int] | None,
        seed: int = SEED,
    ) -> Inputs:
        """Reads the files that are named.

        Raises:
            UsageError: data and specs are both given, or a file is not of its form.
            InputError: a file is missing or may not be read.
        """
        if data is not None and specs is not None:
            raise UsageError("input_data and input_specs contradict each other", remedy="give one of the two")
        described = {} if specs is None else read_input_specs(specs)
        return cls(None if data is None else _read(data), described, sizes or {}, seed)

    def run(self, graph: ModelGraph, run: Callable[[dict[str, Array]], _Ran]) -> tuple[dict[str, Array], _Ran]:
        """Runs a model with the first inputs that it accepts.

        Args:
            graph: the model.
            run: runs it.

        Returns:
            The inputs, and the result of the run.

        Raises:
            UsageError: the model has no input or dimension of a name that is given.
            ModelError: it cannot be run.
        """
        names = [tensor.name for tensor in graph.inputs]
        check_names(names, self.specs)
        check_names(names, self.data or {}, "input_data")
        _check_sizes(graph, self.sizes)
        try:
            if self.data is not None:
                feed = dict(self.data)
                return feed, run(feed)
            values = _declared_inputs(graph, self.sizes)
            recorded = recorded_specs(graph.metadata.get(RECORDED_INPUTS, "[]"), values)
            return first_run(values, {**recorded, **self.specs}, run, self.seed)
        except CannotRunError as error:
            raise failed(graph, error) from error


def failed(graph: ModelGraph, error: CannotRunError) -> ModelError:
    """The error for a model that onnxruntime cannot run."""
    remedy = "give inputs that it accepts: `input_data`, or `input_specs`"
    return ModelError(f"onnxruntime cannot run it: {error}", file=graph.path, remedy=remedy)


def _check_sizes(graph: ModelGraph, sizes: Mapping[str, int]) -> None:
    known = {dim for tensor in graph.inputs for dim in tensor.shape or () if isinstance(dim, str)}
    for name in sizes:
        if name not in known:
            remedy = (
                f"the dynamic dimensions are {', '.join(sorted(known))}" if known else "all of its shapes are fixed"
            )
            raise UsageError(f"no input has a dimension {name!r}", remedy=remedy)


def _declared_inputs(graph: ModelGraph, sizes: Mapping[str, int]) -> list[Declared]:
    """The inputs that a model declares, with the sizes of dimensions that are given by name."""
    return [
        sized(
            Declared(
                tensor.name,
                f"tensor({_NAMES.get(tensor.dtype or '', (tensor.dtype or '').lower())})",
                tensor.shape or (),
            ),
            sizes,
        )
        for tensor in graph.inputs
    ]


def _read(data: Mapping[str, Array] | str | PathLike[str]) -> Mapping[str, Array]:
    if not isinstance(data, (str, PathLike)):
        return data
    path = Path(data)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except FileNotFoundError:
        raise InputError("there is no such file", file=path) from None
    except (OSError, ValueError, AttributeError) as error:
        raise UsageError(
            f"is no .npz file of arrays: {error}", file=path, remedy="write it with numpy.savez"
        ) from error
