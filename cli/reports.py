"""Report files that a command writes besides its output: published in one step, never over an input."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING

from graphml_onnx.errors import writing_failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path


@contextlib.contextmanager
def report(target: Path | None, inputs: Sequence[Path]) -> Iterator[Callable[[Callable[[], bytes]], None]]:
    """A function that writes a report, given a function that makes its content.

    The target is checked at once, so that a long run does not end with a report that cannot be written. A report
    that exists is replaced.

    Args:
        target: the file; with None, the function does nothing.
        inputs: the files that the command reads, which the report must not replace.

    Raises:
        OutputError: the report cannot be created.
        UsageError: the report is one of the inputs.
        StorageError: no space is left.
    """
    if target is None:
        yield lambda _: None
        return
    from graphml_onnx.files import Publication

    with Publication(overwrite=True, inputs=inputs) as publication:
        staged = publication.stage(target)

        def write(make: Callable[[], bytes]) -> None:
            content = make()
            try:
                with io.BufferedWriter(staged.file) as stream:
                    stream.write(content)
            except OSError as error:
                raise writing_failed(error, staged.path) from error
            publication.publish()

        yield write
