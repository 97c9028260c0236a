"""Changes state of the whole process while foreign code runs, and restores it; no other module does.

The current folder, standard output and error (of Python, and the descriptor that PyTorch's C++ code writes to), the
filters of warnings, an environment variable of `torch.load`, random numbers, and how deep Python may call.
"""

from __future__ import annotations

import os
import random
import sys
import warnings
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import torch

from graphml_onnx.errors import Stopped

if TYPE_CHECKING:
    from collections.abc import Iterator

_STDOUT: Final = 1
_WEIGHTS_ONLY: Final = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
_ABOUT_CODE: Final = (DeprecationWarning, PendingDeprecationWarning, FutureWarning)
"""Warnings for the authors of PyTorch or the model; they do not concern the exported model."""

_ABOUT_NAMES: Final = "# The axis name:"
"""Prefix of a warning that an axis got the name of another, even if both are equal; the result is compared instead."""


FROM_OUTSIDE: Final = (KeyboardInterrupt, Stopped)
"""Exceptions that foreign code does not raise itself. Any other exception, even `SystemExit`, is its failure."""


@contextmanager
def code_of_users() -> Iterator[None]:
    """While it is open, printed text goes to standard error; afterwards it restores the current folder."""
    with redirect_stdout(sys.stderr), _same_folder():
        yield


@contextmanager
def _same_folder() -> Iterator[None]:
    try:
        earlier = Path.cwd()
    except OSError:  # it was removed
        yield
        return
    try:
        yield
    finally:
        with suppress(OSError):
            os.chdir(earlier)


@dataclass(slots=True)
class Heard:
    """Output and warnings while an exporter ran.

    Attributes:
        output: collects standard output and error.
        warned: warnings, each once, on one line; complete after the context.
    """

    output: StringIO = field(default_factory=StringIO)
    warned: list[str] = field(default_factory=list)
    _caught: list[warnings.WarningMessage] = field(default_factory=list)

    @property
    def printed(self) -> str:
        """The standard output and error so far."""
        return self.output.getvalue()

    def forget(self) -> None:
        """Forgets the warnings so far, because what they are about is done again."""
        self._caught.clear()


@contextmanager
def listening() -> Iterator[Heard]:
    """Collects output and warnings while the context is open, even if it fails; nothing reaches the terminal."""
    with warnings.catch_warnings(record=True) as caught:
        heard = Heard(_caught=caught)
        warnings.simplefilter("always")
        try:
            with redirect_stdout(heard.output), redirect_stderr(heard.output), _silent_descriptor(), _same_folder():
                yield heard
        finally:
            told = (" ".join(str(entry.message).split()) for entry in caught if _is_about_model(entry.category))
            heard.warned = [text for text in dict.fromkeys(told) if not text.startswith(_ABOUT_NAMES)]


def _is_about_model(category: type[Warning]) -> bool:
    return not issubclass(category, _ABOUT_CODE)


@contextmanager
def _silent_descriptor() -> Iterator[None]:
    """Keeps the C++ code of the TorchScript exporter from writing the graph to standard output when it fails."""
    try:
        kept = os.dup(_STDOUT)
    except OSError:  # there is no standard output
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, _STDOUT)
        yield
    finally:
        os.dup2(kept, _STDOUT)
        os.close(kept)
        os.close(null)


@contextmanager
def without_unpickling() -> Iterator[None]:
    """Keeps `torch.load` from unpickling anything but tensors, which `torch.export.load` may otherwise do."""
    earlier = os.environ.get(_WEIGHTS_ONLY)
    os.environ[_WEIGHTS_ONLY] = "1"
    try:
        yield
    finally:
        if earlier is None:
            del os.environ[_WEIGHTS_ONLY]
        else:
            os.environ[_WEIGHTS_ONLY] = earlier


@contextmanager
def deep_enough(module: torch.nn.Module) -> Iterator[None]:
    """Raises Python's recursion limit for a deeply nested module, with the exporter's own calls at each level.

    `torch.export` needs about a dozen calls for a level, and PyTorch's hooks two more: 100 levels exceed the usual
    limit.
    """
    levels = max(name.count(".") for name, _ in module.named_modules())
    earlier = sys.getrecursionlimit()
    sys.setrecursionlimit(max(earlier, min(_DEEPEST, _CALLS + _CALLS_OF_LEVEL * levels)))
    try:
        yield
    finally:
        sys.setrecursionlimit(earlier)


_CALLS: Final = 1000
_CALLS_OF_LEVEL: Final = 40
_DEEPEST: Final = 10_000
"""Number of calls; they fit into a stack of the usual 8 MiB."""


def _devices() -> list[int]:
    """The devices whose random numbers a model may have used."""
    is_used: bool = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return list(range(torch.cuda.device_count())) if is_used else []


@contextmanager
def same_random_numbers() -> Iterator[None]:
    """Restores the random generators of PyTorch, numpy and Python when the context closes."""
    python, numpy = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=_devices()):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numpy)
