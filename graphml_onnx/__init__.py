"""See, compare, edit and analyse ONNX models as graphs, and get the file back byte for byte."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphml_onnx.codec.model_check import Complaint, check_model
    from graphml_onnx.decoding.api import decode
    from graphml_onnx.encoding.api import encode, preview
    from graphml_onnx.errors import (
        Category,
        ExternalDataError,
        GraphMLError,
        GraphmlOnnxError,
        InputError,
        MetadataError,
        ModelError,
        NotExactError,
        OutputError,
        PayloadError,
        RoundTripError,
        StorageError,
        UsageError,
    )
    from graphml_onnx.exporting.api import export, trace
    from graphml_onnx.exporting.record import ExportResult
    from graphml_onnx.graph import (
        AttributeReference,
        AttributeValue,
        Body,
        Change,
        ExtractResult,
        FunctionsResult,
        Location,
        ModelDiff,
        ModelGraph,
        Module,
        Operator,
        Parameter,
        ReplaceResult,
        SparseTensor,
        Tensor,
        TensorData,
        TensorType,
        diff,
        extract,
        functions,
        inline,
        open,  # noqa: A004 as the gzip module names it
        replace,
    )
    from graphml_onnx.interop import as_text, from_networkx, to_networkx
    from graphml_onnx.results import (
        Check,
        DecodeResult,
        Difference,
        EncodePreview,
        EncodeResult,
        Finding,
        Layout,
        ParameterStrategy,
        Progress,
        Trust,
        VerifyReport,
        WeightsFound,
    )
    from graphml_onnx.running.comparison import ModuleNumbers, NumericDiff, TensorNumbers, numeric_diff
    from graphml_onnx.running.figures import Figures
    from graphml_onnx.running.times import Time, Times, times
    from graphml_onnx.support.notices import Notice
    from graphml_onnx.tabular import TablesResult, property_graph, tables
    from graphml_onnx.validation.run import validate
    from graphml_onnx.verification.api import verify
    from graphml_onnx.viewing.api import ViewResult, view
    from graphml_onnx.zoo import BatchReport, BatchRow, batch

__version__ = "0.1.0"

# The module of each name. It is imported on first use, so that `g2o --help` does not wait for onnx.
_HOMES = {
    **dict.fromkeys(("encode", "preview"), "encoding.api"),
    "decode": "decoding.api",
    "Notice": "support.notices",
    "validate": "validation.run",
    **dict.fromkeys(("ModuleNumbers", "NumericDiff", "TensorNumbers", "numeric_diff"), "running.comparison"),
    "Figures": "running.figures",
    **dict.fromkeys(("Time", "Times", "times"), "running.times"),
    "verify": "verification.api",
    **dict.fromkeys(("ViewResult", "view"), "viewing.api"),
    **dict.fromkeys(("export", "trace"), "exporting.api"),
    "ExportResult": "exporting.record",
    **dict.fromkeys(("as_text", "from_networkx", "to_networkx"), "interop"),
    **dict.fromkeys(
        (
            "AttributeReference",
            "AttributeValue",
            "Body",
            "Change",
            "ExtractResult",
            "FunctionsResult",
            "Location",
            "ModelDiff",
            "ModelGraph",
            "Module",
            "Operator",
            "Parameter",
            "ReplaceResult",
            "SparseTensor",
            "Tensor",
            "TensorData",
            "TensorType",
            "diff",
            "extract",
            "functions",
            "inline",
            "open",
            "replace",
        ),
        "graph",
    ),
    **dict.fromkeys(("BatchReport", "BatchRow", "batch"), "zoo"),
    **dict.fromkeys(("TablesResult", "property_graph", "tables"), "tabular"),
    **dict.fromkeys(("Complaint", "check_model"), "codec.model_check"),
    **dict.fromkeys(
        (
            "Category",
            "ExternalDataError",
            "GraphMLError",
            "GraphmlOnnxError",
            "InputError",
            "MetadataError",
            "ModelError",
            "NotExactError",
            "OutputError",
            "PayloadError",
            "RoundTripError",
            "StorageError",
            "UsageError",
        ),
        "errors",
    ),
    **dict.fromkeys(
        (
            "Check",
            "DecodeResult",
            "Difference",
            "EncodePreview",
            "EncodeResult",
            "Finding",
            "Layout",
            "ParameterStrategy",
            "Progress",
            "Trust",
            "VerifyReport",
            "WeightsFound",
        ),
        "results",
    ),
}

__all__ = [
    "AttributeReference",
    "AttributeValue",
    "BatchReport",
    "BatchRow",
    "Body",
    "Category",
    "Change",
    "Check",
    "Complaint",
    "DecodeResult",
    "Difference",
    "EncodePreview",
    "EncodeResult",
    "ExportResult",
    "ExternalDataError",
    "ExtractResult",
    "Figures",
    "Finding",
    "FunctionsResult",
    "GraphMLError",
    "GraphmlOnnxError",
    "InputError",
    "Layout",
    "Location",
    "MetadataError",
    "ModelDiff",
    "ModelError",
    "ModelGraph",
    "Module",
    "ModuleNumbers",
    "NotExactError",
    "Notice",
    "NumericDiff",
    "Operator",
    "OutputError",
    "Parameter",
    "ParameterStrategy",
    "PayloadError",
    "Progress",
    "ReplaceResult",
    "RoundTripError",
    "SparseTensor",
    "StorageError",
    "TablesResult",
    "Tensor",
    "TensorData",
    "TensorNumbers",
    "TensorType",
    "Time",
    "Times",
    "Trust",
    "UsageError",
    "VerifyReport",
    "ViewResult",
    "WeightsFound",
    "as_text",
    "batch",
    "check_model",
    "decode",
    "diff",
    "encode",
    "export",
    "extract",
    "from_networkx",
    "functions",
    "inline",
    "numeric_diff",
    "open",
    "preview",
    "property_graph",
    "replace",
    "tables",
    "times",
    "to_networkx",
    "trace",
    "validate",
    "verify",
    "view",
]


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value: object = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
