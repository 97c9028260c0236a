"""Opens the store of a decoded model's payloads; `graphml_onnx.encoding.payloads` fills it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from graphml_onnx.codec.keys import EMBEDDED_KEY
from graphml_onnx.errors import GraphMLError, PayloadError
from graphml_onnx.onnxfile.skeleton import MarkerError
from graphml_onnx.onnxfile.source import BytesSource, FileSource, Source
from graphml_onnx.onnxfile.wire import WireError
from graphml_onnx.parameters.store import Store, open_store
from graphml_onnx.parameters.weight_files import open_weights, with_weights

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import ExitStack
    from pathlib import Path

    from graphml_onnx.decoding.records import LoadedModel
    from graphml_onnx.files import Watch


def open_payloads(model: LoadedModel, folder: Path, stack: ExitStack, watch: Watch | None = None) -> Store:
    """Opens the store of a model's payloads; an empty one if there is nothing to read.

    Args:
        model: the model.
        folder: where its payloads are.
        stack: closes the store.
        watch: learns which files may hold the payloads.

    Raises:
        PayloadError: it is missing, or does not match the GraphML.
    """
    store = _open_own(model, folder, stack, watch)
    return with_weights(store, open_weights(folder, model.references.values(), stack, watch))


def _open_own(model: LoadedModel, folder: Path, stack: ExitStack, watch: Watch | None) -> Store:
    """The store without weight files."""
    if model.embedded is not None:
        return Store(model.embedded)
    kept = model.store.strategy != "reference" and any(file.content.length for file in model.externals)
    if all(part.file is not None for part in model.references.values()) and not kept:
        return Store(BytesSource(b""))
    if model.store.file is None:
        raise PayloadError("the GraphML has payloads, but does not say where", remedy="encode the model again")
    store = open_store(folder, model.store, model.stored, watch)
    stack.callback(store.close)
    return store


@contextmanager
def naming(path: Path | None, store: Source) -> Iterator[None]:
    """Adds the file to errors of the codec."""
    try:
        yield
    except PayloadError as error:
        if not isinstance(store, FileSource):
            raise error.at(file=path) from None
        raise error.at(file=store.path, place=EMBEDDED_KEY if store.path == path else None) from None
    except (MarkerError, WireError) as error:
        raise GraphMLError(str(error), file=path, remedy="encode the model again") from None
