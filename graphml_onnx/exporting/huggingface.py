"""Loads models of transformers, by folder or hub name; the class follows from the task or the config."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast

from graphml_onnx.errors import GraphmlOnnxError, InputError, ModelError, UsageError
from graphml_onnx.exporting.sources import FORMS, PICKLED, check_not_pickled, one_line
from graphml_onnx.support.extras import require

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

_TORCHVISION: Final = (
    "the torchvision here does not fit this PyTorch: uninstall it, or install the build for the same version"
)

_PAIRS: Final = "text2text-generation"
"""A task of optimum, and of transformers before version 5."""


def load_pretrained(name: str, task: str | None) -> torch.nn.Module:
    """Loads a model of transformers; no code of its repository is executed, and nothing is unpickled.

    Args:
        name: a folder, or a name on the hub.
        task: its task: ``fill-mask``; it chooses the class. None for the class that the config names.

    Raises:
        InputError: there is no such model, or it has no weights.
        ModelError: it cannot be loaded, or is pickled.
        UsageError: transformers is not installed, or the task is unknown.
    """
    require("transformers")
    if Path(name).is_dir():
        _check_folder(Path(name))
    import transformers

    with _loading(name), _without_progress_bars():
        config = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
        kind = _class_for_task(config, task, name) if task else _class_of(config)
        return kind.from_pretrained(name, config=config, trust_remote_code=False, use_safetensors=True)


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise InputError(
            "the folder holds no config.json, so no Hugging Face model",
            file=folder,
            remedy="save_pretrained writes one",
        )
    if any(folder.glob("*.safetensors")):
        return
    pickled = [file for file in sorted(folder.iterdir()) if file.suffix in PICKLED]
    if pickled:
        check_not_pickled(pickled[0])
    raise InputError("the folder holds no weights", file=folder, remedy="it needs model.safetensors")


@contextmanager
def _loading(name: str) -> Iterator[None]:
    try:
        yield
    except GraphmlOnnxError:
        raise
    except OSError as error:  # also what transformers raises for a name that the hub does not know
        reason = f"no such folder, and no model of this name: {one_line(error)}"
        raise InputError(reason, file=name, remedy=FORMS) from error
    except Exception as error:
        told = f"cannot be loaded: {one_line(error)}"
        raise ModelError(told, file=name, remedy=_TORCHVISION if _is_torchvision(error) else "see --debug") from error


def _is_torchvision(error: BaseException | None) -> bool:
    """Whether the cause is a torchvision, which transformers imports, that was built for another PyTorch."""
    while error is not None:
        if "torchvision" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False


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
    import transformers
    from transformers.pipelines import PIPELINE_REGISTRY

    if task == _PAIRS:
        return cast("_ModelClass", transformers.AutoModelForSeq2SeqLM)
    try:
        _, facts, _ = PIPELINE_REGISTRY.check_task(task)
    except KeyError:
        known = ", ".join(PIPELINE_REGISTRY.get_supported_tasks())
        raise UsageError(f"the task {task!r} is not known", remedy=f"transformers has {known}") from None
    for kind in facts["pt"]:
        if type(config) in kind._model_mapping:
            return cast("_ModelClass", kind)
    raise UsageError(f"the model has no class for the task {task!r}", file=name, remedy="leave `task` out")
