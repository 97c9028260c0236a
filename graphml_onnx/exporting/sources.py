"""Loads MODEL: a Hugging Face model, a callable that returns a module, or a `torch.export` program.

No code from a model repository is executed, and nothing is unpickled: pickled models are refused.
"""

from __future__ import annotations

import os
import re
import traceback
import zipfile
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import torch

from graphml_onnx.errors import GraphmlOnnxError, InputError, ModelError, UsageError
from graphml_onnx.exporting.backends.state import FROM_OUTSIDE, code_of_users, one_line, without_unpickling

if TYPE_CHECKING:
    from collections.abc import Callable

_CALLABLE: Final = re.compile(r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*):(?P<name>[^\W\d]\w*(?:\.[^\W\d]\w*)*)")
_HUB_NAME: Final = re.compile(r"[\w.-]+(?:/[\w.-]+)?")
PICKLED: Final = frozenset({".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth", ".t7"})
FORMS: Final = "give a folder or hub name of a Hugging Face model, package.module:callable, or a .pt2 file"


Exportable: TypeAlias = "torch.nn.Module | torch.export.ExportedProgram"
"""The models that the exporters accept."""

Pretrained: TypeAlias = "Callable[[str, str | None], torch.nn.Module]"
"""Loads a Hugging Face model; `graphml_onnx.exporting.huggingface` has it."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model to be exported.

    Attributes:
        model: a module, or a program of `torch.export`.
        name: the user's argument.
        inputs: example inputs that came with it, or None, in any form of `inputs.given_inputs`.
        task: the task that it was loaded for, if given.
    """

    model: Exportable
    name: str
    inputs: object = None
    task: str | None = None


def load_model(model: str | os.PathLike[str] | Exportable, task: str | None, pretrained: Pretrained) -> LoadedModel:
    """Loads the model that the user named; one in memory is named after its class.

    Args:
        model: a folder or hub name of a Hugging Face model; ``package.module:callable``, which returns a module, or a
            module and its example inputs; a ``.pt2`` file; or a model in memory.
        task: for a Hugging Face model, its task: ``fill-mask``; it chooses the class.
        pretrained: loads a Hugging Face model by name and task.

    Raises:
        InputError: there is no such file, package or model.
        ModelError: it cannot be loaded, or is pickled.
        UsageError: it has none of these forms, or the task is unknown.
    """
    if isinstance(model, torch.nn.Module | torch.export.ExportedProgram):
        if task is not None:
            raise UsageError("a task is only for a folder or hub name", remedy="leave it out")
        return LoadedModel(model, type(model).__name__)
    name = os.fspath(model)
    path = Path(name)
    called = _CALLABLE.fullmatch(name)
    if called is not None and not path.exists():
        loaded = _call(called["module"], called["name"], name)
    elif not name:
        raise UsageError("the model has no name", remedy=FORMS)
    elif path.is_dir():
        return LoadedModel(pretrained(name, task), name, task=task)
    elif path.exists():
        loaded = _load_program(path)
    elif not path.suffix and not name.startswith((".", "~")) and _HUB_NAME.fullmatch(name):
        return LoadedModel(pretrained(name, task), name, task=task)
    else:
        raise InputError("no such file or folder", file=name, remedy=FORMS)
    if task is not None:
        raise UsageError("`task` is only for Hugging Face models", file=name, remedy="leave it out")
    return loaded


def _call(module_name: str, name: str, source: str) -> LoadedModel:
    with code_of_users():
        return _called(module_name, name, source)


def _called(module_name: str, name: str, source: str) -> LoadedModel:
    try:
        member: object = import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise _own_failure(error, source) from error  # an import within the module
        stem = module_name.removesuffix(".py")
        remedy = "check the name" if stem == module_name else f"name the module, not its file: {stem}:{name}"
        raise InputError(f"no module {error.name!r} to import", file=source, remedy=remedy) from error
    except FROM_OUTSIDE:
        raise
    except BaseException as error:
        raise _own_failure(error, source) from error
    try:
        for part in name.split("."):
            member = getattr(member, part)
    except AttributeError as error:
        raise InputError(str(error), file=source, remedy="check the name") from None
    if isinstance(member, torch.nn.Module):
        return LoadedModel(member, source)
    if not callable(member):
        raise UsageError(f"{name!r} cannot be called", file=source, remedy="name a function that returns a module")
    try:
        returned: object = member()
    except (GraphmlOnnxError, *FROM_OUTSIDE):
        raise
    except BaseException as error:
        raise _own_failure(error, source) from error
    match returned:
        case torch.nn.Module() | torch.export.ExportedProgram():
            return LoadedModel(returned, source)
        case (torch.nn.Module() as module, inputs):
            return LoadedModel(module, source, inputs)
        case _:
            raise UsageError(
                f"it returned a {type(returned).__name__}",
                file=source,
                remedy="return a torch.nn.Module, or a module and its example inputs",
            )


def _own_failure(error: BaseException, source: str) -> ModelError:
    """The error for an exception of the user's code, with its place in that code."""
    last = next(reversed(traceback.extract_tb(error.__traceback__)), None)
    place = f" ({Path(last.filename).name}, line {last.lineno})" if last else ""
    return ModelError(f"it failed: {type(error).__name__}: {one_line(error)}{place}", file=source, remedy="see --debug")


def _load_program(path: Path) -> LoadedModel:
    check_not_pickled(path)
    if path.suffix != ".pt2":
        raise UsageError("is no PyTorch model that can be exported", file=path, remedy=FORMS)
    try:
        with without_unpickling():
            return LoadedModel(torch.export.load(path), str(path))
    except Exception as error:
        remedy = "save it with torch.export.save of this version of PyTorch"
        raise ModelError(f"is no readable torch.export program: {one_line(error)}", file=path, remedy=remedy) from error


def check_not_pickled(path: Path) -> None:
    """Refuses a file that must be unpickled, and one that is already ONNX.

    Raises:
        ModelError: it is pickled.
        UsageError: it is an ONNX model.
    """
    if path.suffix == ".onnx":
        raise UsageError("is already an ONNX model", file=path, remedy="turn it into GraphML with g2o encode")
    if path.suffix in PICKLED or (path.suffix != ".pt2" and _holds_pickle(path)):
        raise ModelError(
            "is a pickled model, and unpickling runs any code in the file",
            file=path,
            remedy="give a function that builds the module (package.module:callable), or torch.export.save a .pt2",
        )


def _holds_pickle(path: Path) -> bool:
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                return any(name.endswith(".pkl") for name in archive.namelist())
        with path.open("rb") as file:
            return file.read(1) == b"\x80"
    except (OSError, zipfile.BadZipFile):
        return False
