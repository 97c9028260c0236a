"""The executor of a running Dask scheduler."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from graphml_onnx.errors import StorageError
from graphml_onnx.support.extras import require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Executor
    from typing import Any

_PATIENCE = "20s"


@contextlib.contextmanager
def dask_executor(address: str) -> Iterator[Executor]:
    """Connects to a scheduler for as long as the context lasts.

    Args:
        address: of the scheduler: ``tcp://host:8786``.

    Raises:
        UsageError: distributed is not installed.
        StorageError: the scheduler does not answer.
    """
    require("distributed", "a Dask scheduler")
    import distributed

    connect: Any = distributed.Client  # has no types, and may be missing where they are checked
    try:
        client = connect(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise StorageError(
            f"the scheduler does not answer: {' '.join(str(error).split())}",
            file=address,
            remedy="check the address; `dask scheduler` shows it when it starts",
        ) from error
    with client:
        yield client.get_executor(pure=False, retries=2)
