"""Opens models in onnxruntime, with any of their tensors as outputs, and runs them."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

import onnx

from graphml_onnx.codec.calls import MOST_TO_RUN, problem_of_calls
from graphml_onnx.decoding.api import decode
from graphml_onnx.graph.loading import is_xml
from graphml_onnx.inputs.made import CannotRunError, first_line
from graphml_onnx.support.extras import require

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import ExitStack

    from graphml_onnx.graph.model_graph import ModelGraph
    from graphml_onnx.inputs.made import Array, Value

_DATA_FOLDER = "session.model_external_initializers_file_folder_path"


class _Metadata(Protocol):
    custom_metadata_map: Mapping[str, str]


class Session(Protocol):
    """The used part of onnxruntime's session."""

    def get_modelmeta(self) -> _Metadata:
        """The metadata of the model."""

    def get_inputs(self) -> Sequence[Value]:
        """The required inputs."""

    def run(self, names: Sequence[str] | None, feed: Mapping[str, Array], /) -> Sequence[object]:
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


def run(session: Session, feed: Mapping[str, Array], names: Sequence[str] | None = None) -> Sequence[object]:
    """The outputs of these names, or all.

    Raises:
        CannotRunError: the run failed.
    """
    try:
        return session.run(names, feed)
    except Exception as error:
        raise CannotRunError(first_line(error)) from error


class Runnable:
    """A model that runs operator by operator as written: nothing is fused, and any tensor can be an output.

    Additional outputs are a few bytes at the end of the file, since protobuf merges later fields into the model. So
    weights are never parsed or held in Python.

    Args:
        path: the model, in ONNX or GraphML.
        graph: the same as a graph.
        stack: removes the temporary copy at the end.
    """

    def __init__(self, path: Path, graph: ModelGraph, stack: ExitStack) -> None:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="g2o-run-")))
        self._path = onnx_file(path, folder)
        self._outputs = {tensor.name for tensor in graph.outputs}
        self._has_data_files = any(parameter.data.is_external for parameter in graph.parameters)
        self._copy = folder / "with_outputs.onnx"
        self._problem = problem_of_calls(graph._model, MOST_TO_RUN)
        self._size = self._path.stat().st_size

    def outputs(self, names: Sequence[str], feed: Mapping[str, Array]) -> Mapping[str, object]:
        """Runs the model.

        Args:
            names: tensors of the main graph.
            feed: its inputs.

        Returns:
            The tensors by name.

        Raises:
            CannotRunError: onnxruntime refuses the model or the inputs.
            StorageError: there is no room for a temporary copy.
        """
        session = self._session([name for name in names if name not in self._outputs])
        return dict(zip(names, run(session, feed, names), strict=True))

    def _session(self, more: Sequence[str]) -> Session:
        if self._problem is not None:
            raise CannotRunError(self._problem)
        import onnxruntime

        outputs = [onnx.ValueInfoProto(name=name) for name in more]
        end = onnx.ModelProto(graph=onnx.GraphProto(output=outputs)).SerializeToString()
        options = session_options()
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        options.add_session_config_entry("session.disable_prepacking", "1")  # which copies the weights
        if self._has_data_files:  # whose names are relative to the folder of the model
            options.add_session_config_entry(_DATA_FOLDER, str(self._path.parent))
            return open_session(self._path.read_bytes() + end, options)
        if not self._copy.exists():
            shutil.copyfile(self._path, self._copy)
        with self._copy.open("r+b") as file:
            file.truncate(self._size)
            file.seek(self._size)
            file.write(end)
        return open_session(self._copy, options)


def onnx_file(path: Path, folder: Path) -> Path:
    """The ONNX file of a model: the file itself, or for GraphML the decoded model in a folder."""
    return decode(path, folder / "decoded.onnx").onnx if is_xml(path) else path
