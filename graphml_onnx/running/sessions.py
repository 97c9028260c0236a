"""Opens models in onnxruntime, with any of their tensors as outputs, and runs them."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol, cast

import onnx

from graphml_onnx.codec.calls import MOST_TO_RUN, problem_of_calls
from graphml_onnx.decoding.api import decode
from graphml_onnx.graph.loading import is_xml
from graphml_onnx.graph.weights import TensorData
from graphml_onnx.inputs.made import CannotRunError, first_line
from graphml_onnx.onnxfile import schema
from graphml_onnx.onnxfile.external import tensors_of
from graphml_onnx.onnxfile.schema import serialise
from graphml_onnx.onnxfile.skeleton import join
from graphml_onnx.parameters.transfer import assemble
from graphml_onnx.support.extras import require

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from google.protobuf.message import Message

    from graphml_onnx.graph.model_graph import ModelGraph
    from graphml_onnx.inputs.made import Array, Value

_LARGE: Final = 1 << 16  # bytes

_DATA_FOLDER: Final = "session.model_external_initializers_file_folder_path"


class _Metadata(Protocol):
    custom_metadata_map: Mapping[str, str]


class Session(Protocol):
    """The used part of onnxruntime's session."""

    def get_modelmeta(self) -> _Metadata:
        """The metadata of the model."""

    def get_inputs(self) -> Sequence[Value]:
        """The required inputs."""

    def run(
        self, names: Sequence[str] | None, feed: Mapping[str, Array], options: object = None, /
    ) -> Sequence[object]:
        """The outputs of these names, or all."""

    def end_profiling(self) -> str:
        """The name of the file with the profile."""


class Options(Protocol):
    """The used part of onnxruntime's options."""

    log_severity_level: int
    graph_optimization_level: object
    enable_profiling: bool
    profile_file_prefix: str
    optimized_model_filepath: str

    def add_session_config_entry(self, name: str, value: str, /) -> None:
        """Sets an option that has no attribute."""


def session_options() -> Options:
    """The default options of onnxruntime, without logging.

    Raises:
        UsageError: onnxruntime is not installed.
    """
    require("onnxruntime", "to run models")
    import onnxruntime

    options = cast("Options", onnxruntime.SessionOptions())
    options.log_severity_level = 4
    return options


def open_session(
    model: Path | bytes, options: Options | None = None, providers: Sequence[str] = ("CPUExecutionProvider",)
) -> Session:
    """Opens a model.

    Raises:
        CannotRunError: onnxruntime refuses it.
        UsageError: onnxruntime is not installed.
    """
    options = options or session_options()
    import onnxruntime

    source = model if isinstance(model, bytes) else str(model)
    try:
        return cast("Session", onnxruntime.InferenceSession(source, options, [*providers]))
    except Exception as error:  # onnxruntime has no common class for its errors
        raise CannotRunError(first_line(error).replace(str(model), "the model")) from error


def run(
    session: Session, feed: Mapping[str, Array], names: Sequence[str] | None = None, *, is_partial: bool = False
) -> Sequence[object]:
    """The outputs of these names, or all; if it is partial, only the operators are run that these need.

    Raises:
        CannotRunError: the run failed.
    """
    import onnxruntime

    options = onnxruntime.RunOptions()
    options.only_execute_path_to_fetches = is_partial
    try:
        return session.run(names, feed, options)
    except Exception as error:
        raise CannotRunError(first_line(error)) from error


class Runnable:
    """A model that runs operator by operator as written: nothing is fused, and any tensor can be an output.

    onnxruntime maps the large weights from the files in which they are, as external data, so that a session opens at
    once, and takes no memory for them.

    Args:
        graph: the model.
    """

    def __init__(self, graph: ModelGraph) -> None:
        self._graph = graph
        self._outputs = {tensor.name for tensor in graph.outputs}
        self._problem = problem_of_calls(graph._model, MOST_TO_RUN)
        self._bytes: bytes | None = None

    def outputs(
        self, names: Sequence[str], feed: Mapping[str, Array], more: onnx.GraphProto | None = None
    ) -> Mapping[str, object]:
        """Runs what these tensors need.

        Args:
            names: tensors of the main graph, or of `more`.
            feed: its inputs.
            more: operators and inputs that are added to it, as an exact message.

        Returns:
            The tensors by name.

        Raises:
            CannotRunError: onnxruntime refuses the model or the inputs.
            GraphmlOnnxError: a weight is missing, or cannot be read.
        """
        if not names:  # which to onnxruntime means all outputs
            return {}
        if self._problem is not None:
            raise CannotRunError(self._problem)
        end = cast("onnx.ModelProto", schema.message_class("ModelProto")())
        if more is not None:
            cast("Message", end.graph).CopyFrom(cast("Message", more))
        for name in names:
            if name not in self._outputs:
                end.graph.output.add().name = cast("str", name.encode("utf-8", "surrogateescape"))
        if self._bytes is None:
            self._bytes = _with_weights_in_place(self._graph)
        # Fields at the end of a message are added to it.
        session = self._session(self._bytes + _joined(self._graph, serialise(cast("Message", end))))
        return dict(zip(names, run(session, feed, names, is_partial=True), strict=True))

    def _session(self, model: bytes) -> Session:
        import onnxruntime

        options = session_options()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.add_session_config_entry("session.disable_prepacking", "1")  # which copies the weights
        options.add_session_config_entry(_DATA_FOLDER, _anchor(self._graph))
        return open_session(model, options)


def _with_weights_in_place(graph: ModelGraph) -> bytes:
    """A model whose large weights are external data, with paths from the root of the file system."""
    model = cast("onnx.ModelProto", schema.message_class("ModelProto")())
    cast("Message", model).CopyFrom(cast("Message", graph._model))
    anchor = _anchor(graph)
    for tensor, path in tensors_of(cast("Message", model)):
        data = TensorData(tensor, graph._storage)
        is_external = data.is_external
        if not is_external and (data.nbytes < _LARGE or not path.startswith("graph.initializer")):
            continue
        place = data.place()
        if place is not None and (file := place[0]).anchor == anchor:
            _, offset, length = place
            for field in ("raw_data", "float_data", "double_data", "external_data"):
                cast("Message", tensor).ClearField(field)
            tensor.data_location = onnx.TensorProto.EXTERNAL
            for key, value in (("location", file.relative_to(anchor)), ("offset", offset), ("length", length)):
                entry = tensor.external_data.add()
                entry.key, entry.value = cast("str", key.encode()), cast("str", os.fsencode(str(value)))
        elif is_external:  # a data file that lies in an embedded store
            tensor.raw_data = b"".join(data.chunks())
            for field in ("data_location", "external_data"):
                cast("Message", tensor).ClearField(field)
    return _joined(graph, serialise(cast("Message", model)))


def _anchor(graph: ModelGraph) -> str:
    """The root of the file system that a model is in."""
    return (graph.path or Path()).resolve().anchor


def _joined(graph: ModelGraph, skeleton: bytes) -> bytes:
    """A part of a model with its payloads."""
    storage = graph._storage
    if storage.nonce not in skeleton:
        return skeleton
    lengths = {number: reference.length for number, reference in storage.located.items()}
    whole = io.BytesIO()
    pieces = join(skeleton, storage.nonce, lengths)
    assemble(pieces, storage.located, storage.store, whole.write, lambda _: None, threaded=False)
    return whole.getvalue()


def onnx_file(path: Path, folder: Path) -> Path:
    """The ONNX file of a model: the file itself, or for GraphML the decoded model in a folder."""
    return decode(path, folder / "decoded.onnx").onnx if is_xml(path) else path
