"""What MODEL means: a Hugging Face model, a callable that returns a module, or a `torch.export` program.

No code from a model repository is executed, and nothing is unpickled: pickled models are refused.
"""

from __future__ import annotations

import os
import re
import zipfile
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, cast

import torch

from graphml_onnx.errors import GraphmlOnnxError, InputError, ModelError, UsageError
from graphml_onnx.exporting.extra import require

if TYPE_CHECKING:
    from collections.abc import Iterator

_CALLABLE: Final = re.compile(r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*):(?P<name>[^\W\d]\w*(?:\.[^\W\d]\w*)*)")
_HUB_NAME: Final = re.compile(r"[\w.-]+(?:/[\w.-]+)?")
_PICKLED: Final = frozenset({".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth", ".t7"})
_WEIGHTS_ONLY: Final = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
_FORMS: Final = "give a folder or hub name of a Hugging Face model, package.module:callable, or a .pt2 file"


Exportable: TypeAlias = "torch.nn.Module | torch.export.ExportedProgram"
"""What the exporters take."""


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model to be exported.

    Attributes:
        model: a module, or a program of `torch.export`.
        name: what the user named.
        inputs: example inputs that came with it, or None; in any of the forms of `inputs.given_inputs`.
        task: what it was loaded for, if that was asked for.
    """

    model: Exportable
    name: str
    inputs: object = None
    task: str | None = None


def load_model(model: str | os.PathLike[str], task: str | None) -> LoadedModel:
    """Loads what the user named.

    Args:
        model: a folder or hub name of a Hugging Face model; ``package.module:callable``, which returns a module, or a
            module and its example inputs; or a ``.pt2`` file.
        task: for a Hugging Face model, what it is to do: ``fill-mask``; it chooses the class.

    Raises:
        InputError: there is no such file, package or model.
        ModelError: it cannot be loaded, or is pickled.
        UsageError: it is none of the forms, or the task is not known.
    """
    name = os.fspath(model)
    path = Path(name)
    called = _CALLABLE.fullmatch(name)
    if called is not None and not path.exists():
        loaded = _call(called["module"], called["name"], name)
    elif path.is_dir():
        return _load_pretrained(name, task)
    elif path.exists():
        loaded = _load_program(path)
    elif not path.suffix and not name.startswith((".", "~")) and _HUB_NAME.fullmatch(name):
        return _load_pretrained(name, task)
    else:
        raise InputError("no such file or folder", file=name, remedy=_FORMS)
    if task is not None:
        raise UsageError("--task is only for Hugging Face models", file=name, remedy="leave it out")
    return loaded


def _call(module_name: str, name: str, source: str) -> LoadedModel:
    try:
        member: object = import_module(module_name)
    except ModuleNotFoundError as error:
        raise InputError(f"no module {error.name!r} to import", file=source, remedy="check the name") from error
    try:
        for part in name.split("."):
            member = getattr(member, part)
    except AttributeError as error:
        raise InputError(str(error), file=source, remedy="check the name") from None
    if not callable(member):
        raise UsageError(f"{name!r} cannot be called", file=source, remedy="name a function that returns a module")
    try:
        returned: object = member()
    except GraphmlOnnxError:
        raise
    except Exception as error:
        raise ModelError(f"it failed: {one_line(error)}", file=source, remedy="see --debug") from error
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


def _load_program(path: Path) -> LoadedModel:
    _check_not_pickled(path)
    if path.suffix != ".pt2":
        raise UsageError("is no PyTorch model that can be exported", file=path, remedy=_FORMS)
    try:
        with _without_unpickling():
            return LoadedModel(torch.export.load(path), str(path))
    except Exception as error:
        remedy = "save it with torch.export.save of this version of PyTorch"
        raise ModelError(f"is no readable torch.export program: {one_line(error)}", file=path, remedy=remedy) from error


@contextmanager
def _without_unpickling() -> Iterator[None]:
    """Keeps `torch.load` from unpickling anything but tensors, which a program can ask `torch.export.load` for."""
    earlier = os.environ.get(_WEIGHTS_ONLY)
    os.environ[_WEIGHTS_ONLY] = "1"
    try:
        yield
    finally:
        if earlier is None:
            del os.environ[_WEIGHTS_ONLY]
        else:
            os.environ[_WEIGHTS_ONLY] = earlier


def _check_not_pickled(path: Path) -> None:
    if path.suffix == ".onnx":
        raise UsageError("is an ONNX model already", file=path, remedy="turn it into GraphML with g2o encode")
    if path.suffix in _PICKLED or (path.suffix != ".pt2" and _holds_pickle(path)):
        raise ModelError(
            "is a pickled model, and unpickling runs whatever code the file holds",
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


def _load_pretrained(name: str, task: str | None) -> LoadedModel:
    require("transformers", "transformers")
    if Path(name).is_dir():
        _check_folder(Path(name))
    import transformers

    with _loading(name), _without_progress_bars():
        config = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
        kind = _class_for_task(config, task, name) if task else _class_of(config)
        module = kind.from_pretrained(name, config=config, trust_remote_code=False, use_safetensors=True)
    return LoadedModel(module, name, task=task)


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise InputError(
            "the folder holds no config.json, so no Hugging Face model",
            file=folder,
            remedy="save_pretrained writes one",
        )
    if any(folder.glob("*.safetensors")):
        return
    pickled = [file for file in sorted(folder.iterdir()) if file.suffix in _PICKLED]
    if pickled:
        _check_not_pickled(pickled[0])
    raise InputError("the folder holds no weights", file=folder, remedy="it needs model.safetensors")


@contextmanager
def _loading(name: str) -> Iterator[None]:
    try:
        yield
    except GraphmlOnnxError:
        raise
    except OSError as error:  # also what transformers raises for a name that the hub does not know
        reason = f"no such folder, and no model of this name: {one_line(error)}"
        raise InputError(reason, file=name, remedy=_FORMS) from error
    except Exception as error:
        raise ModelError(f"cannot be loaded: {one_line(error)}", file=name, remedy="see --debug") from error


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    from transformers.utils import logging

    switches = cast("_ProgressBars", logging)
    enabled = switches.is_progress_bar_enabled()
    switches.disable_progress_bar()
    try:
        yield
    finally:
        if enabled:
            switches.enable_progress_bar()


class _ProgressBars(Protocol):
    def is_progress_bar_enabled(self) -> bool: ...
    def disable_progress_bar(self) -> None: ...
    def enable_progress_bar(self) -> None: ...


class _ModelClass(Protocol):
    """What transformers has for each model: a class, or one that finds it."""

    def from_pretrained(
        self, name: str, /, *, config: object, trust_remote_code: bool, use_safetensors: bool
    ) -> torch.nn.Module: ...


def _class_of(config: object) -> _ModelClass:
    """The class that the config names, if transformers has it; else the one of the bare model."""
    import transformers

    for name in getattr(config, "architectures", None) or ():
        kind = getattr(transformers, name, None)
        if isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel):
            return cast("_ModelClass", kind)
    return cast("_ModelClass", transformers.AutoModel)


def _class_for_task(config: object, task: str, name: str) -> _ModelClass:
    from transformers.pipelines import PIPELINE_REGISTRY

    try:
        _, facts, _ = PIPELINE_REGISTRY.check_task(task)
    except KeyError:
        known = ", ".join(PIPELINE_REGISTRY.get_supported_tasks())
        raise UsageError(f"the task {task!r} is not known", remedy=f"transformers has {known}") from None
    for kind in facts["pt"]:
        if type(config) in kind._model_mapping:
            return cast("_ModelClass", kind)
    raise UsageError(f"the model has no class for the task {task!r}", file=name, remedy="leave --task out")


def one_line(error: BaseException) -> str:
    """The first line of what an exception says, or its class."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
