"""Turns an exception into one line of text or one JSON object, and an exit code."""

from __future__ import annotations

import traceback
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from graphml_onnx.errors import GraphmlOnnxError, Stopped, StorageError, printable

from . import exits
from .wording import as_options

if TYPE_CHECKING:
    from graphml_onnx.support.strictjson import Json


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a command failed.

    Attributes:
        category: name of an `errors.Category` in lower case, or internal, interrupted or terminated.
        message: what is wrong, in one line.
        file: the file that it is about.
        place: where in the file.
        remedy: what to do about it.
        exit_code: see `exits`.
        line: the whole error in one line, for people.
        silent: whether there is no reader left, because the pipe is closed.
    """

    category: str
    message: str
    file: str | None
    place: str | None
    remedy: str | None
    exit_code: int
    line: str = field(repr=False)
    silent: bool = False

    def document(self) -> dict[str, Json]:
        """The failure as ``--json`` shows it."""
        facts = asdict(self)
        del facts["line"], facts["silent"]
        return facts


def of(error: BaseException) -> Failure:
    """Describes an exception that ended a command."""
    match error:
        case GraphmlOnnxError():
            return _of_library(error)
        case Stopped(name="SIGINT") | KeyboardInterrupt():
            return _plain("interrupted", "interrupted", exits.INTERRUPTED)
        case Stopped():
            return _plain("terminated", "terminated", exits.TERMINATED)
        case BrokenPipeError():  # the reader of a pipe (``g2o ... | head``) has seen enough
            return replace(_of_library(StorageError("the reader of the output is gone")), silent=True)
        case OSError():
            file = error.filename if isinstance(error.filename, str) else None
            return _of_library(StorageError(f"input/output error: {error.strerror or error}", file=file))
        case MemoryError() | ImportError() if _is_about_memory(error):
            remedy = "close other programs, raise the memory limit, or use a machine with more memory"
            return _of_library(StorageError("not enough memory", remedy=remedy))
        case _:
            cause = "".join(traceback.format_exception_only(error)).strip()
            remedy = "run again with --debug and report it"
            line = f"internal error: {cause}; {remedy}"
            return Failure("internal", cause, None, None, remedy, exits.INTERNAL, line)


def line_about(model: str, problem: Failure) -> str:
    """A failure of one of many models: the line begins with its name, also where the failure is about another file."""
    if problem.file in (None, model):
        return problem.line
    told = GraphmlOnnxError(problem.message, file=model, place=problem.place, remedy=problem.remedy)
    return f"{told} [{printable(problem.file)}]"


def _is_about_memory(error: BaseException) -> bool:
    """Whether there was too little memory, also while loading a library on demand."""
    told = str(error)
    return isinstance(error, MemoryError) or "failed to map segment" in told or "allocate memory" in told


def _of_library(error: GraphmlOnnxError) -> Failure:
    return Failure(
        error.category.name.lower(),
        as_options(error.message),
        error.file,
        error.place,
        error.remedy and as_options(error.remedy),
        exits.CODES[error.category],
        as_options(str(error)),
    )


def _plain(category: str, message: str, exit_code: int) -> Failure:
    return Failure(category, message, None, None, None, exit_code, message)
