"""``g2o inspect``: shows modules, operators, tensors and parameters of a model."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TypeAlias

import typer

from graphml_onnx.errors import GraphmlOnnxError, UsageError

from . import exits, failure, options, remote, show, timing
from .tree import module_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphml_onnx.graph import ModelGraph, Module, Operator, Parameter, Tensor
    from graphml_onnx.graph.inspection import Share
    from graphml_onnx.graph.statistics import Statistics
    from graphml_onnx.results import Trust
    from graphml_onnx.support.strictjson import Json

EXAMPLES = """\b
Examples:
  g2o inspect model.onnx
  g2o inspect model.graphml --module encoder.layer.0 --depth 2
  g2o inspect model.onnx --by op --dim batch=1 --dim sequence=128
  g2o inspect model.onnx --module encoder.layer.0 --by place
  g2o inspect model.onnx --by parameter --stats --json
  g2o inspect model.onnx --times --shape sequence=128
"""

By: TypeAlias = Literal["module", "op", "place", "tensor", "parameter"]

_DEPTH = 2
_SHOWN = 60  # characters of a value of the metadata
_FAILURES = 10  # unreadable weights that are named one by one


def inspect(
    models: Annotated[
        list[Path],
        typer.Argument(
            readable=False,
            metavar="MODEL",
            help="ONNX or GraphML files.",
            show_default=False,
            callback=remote.all_fetched,
        ),
    ],
    depth: Annotated[
        int, typer.Option("--depth", "-d", min=0, metavar="N", help="How many levels of modules to show.")
    ] = _DEPTH,
    module: Annotated[
        str | None, typer.Option("--module", "-m", metavar="PATH", help="Show this module and what is in it.")
    ] = None,
    by: Annotated[By, typer.Option("--by", help="What the rows of the table are.")] = "module",
    stats: Annotated[
        bool, typer.Option("--stats", help="Read the weights: minimum, maximum, mean, deviation, zeros, NaN.")
    ] = False,
    unfold: Annotated[
        bool, typer.Option("--unfold", help="Show modules that look the same one by one, not as one row with a count.")
    ] = False,
    times: Annotated[
        bool, typer.Option("--times", help="Run the model, and show where the time goes (needs onnxruntime).")
    ] = False,
    providers: Annotated[
        list[str] | None,
        typer.Option("--provider", metavar="NAME", help="For --times: cpu, cuda, …; may be repeated."),
    ] = None,
    runs: Annotated[
        int | None, typer.Option("--runs", min=1, metavar="N", help="For --times: number of runs. [default: 5]")
    ] = None,
    input_data: options.InputDataOption = None,
    input_specs: options.InputSpecsOption = None,
    dims: options.DimOption = None,
    metadata: options.MetadataOption = None,
    trust: options.TrustOption = None,
    json: options.JsonOption = False,
    debug: options.DebugOption = False,
) -> int:
    """Show modules, operators, tensors, parameters and their cost.

    MACs are the multiplications and additions of matrix products, convolutions,
    recurrent layers and attention. If they depend on a dynamic dimension they are
    unknown; --dim gives it a size. Weights are only read for --stats.

    --by place says for each operator which module it is in and what placed it there;
    docs/hierarchy.md explains the rules.

    With --times, onnxruntime runs the model with all its optimisations. The time of the
    operators is summed by module, or with --by op by type. Fused operators are traced
    back to those of the model.
    """
    if times:
        if stats or trust or module or by not in ("module", "op"):
            raise UsageError("--stats, --trust, --module and other --by have no meaning with --times")
        if len(models) > 1:
            raise UsageError("--times takes one model", remedy="run it for each")
        return timing.show_times(
            models[0], depth, by, providers, runs, input_data, input_specs, dims, metadata, json=json
        )
    if providers or runs or input_data or input_specs:
        raise UsageError("inputs, --provider and --runs are for --times", remedy="give both")
    if stats and by not in ("module", "parameter"):
        raise UsageError(f"--stats has no meaning with --by {by}", remedy="use --by module or --by parameter")
    sizes = options.sizes(dims)
    documents: list[Json] = []
    code = exits.DONE
    for number, path in enumerate(models):
        unread = _Unread()
        try:
            document = _inspect(
                path,
                depth,
                module,
                by,
                sizes,
                metadata,
                trust,
                unread,
                stats=stats,
                unfold=unfold,
                json=json,
                first=number == 0,
            )
            code = code or unread.exit_code
        except GraphmlOnnxError as error:
            problem = failure.of(error)
            if len(models) == 1:
                raise
            show.err(problem.line)
            document = {"path": str(path), "error": problem.document()}
            code = code or problem.exit_code
        documents.append(document)
    if json:
        show.document(documents[0] if len(models) == 1 else {"models": documents})
    return code


class _Unread:
    """Collects weights that cannot be read, and so have no statistics; the others are shown."""

    def __init__(self) -> None:
        self.failures: list[tuple[str, failure.Failure]] = []

    def __call__(self, parameter: "Parameter", error: GraphmlOnnxError) -> None:
        self.failures.append((parameter.name, failure.of(error)))

    @property
    def exit_code(self) -> int:
        return next((problem.exit_code for _, problem in self.failures), exits.DONE)

    def show(self) -> None:
        """Shows why each weight cannot be read; for many, only the number of the rest."""
        lines = [problem.line for _, problem in self.failures]
        for line in lines[:_FAILURES]:
            show.err(line)
        if len(lines) > _FAILURES:
            show.err(f"{show.counted(len(lines) - _FAILURES, 'more weight')} cannot be read; --json names all")

    def documents(self) -> "list[Json]":
        """The same for ``--json``."""
        return [{"parameter": name, **problem.document()} for name, problem in self.failures]


def _inspect(
    path: Path,
    depth: int,
    module_path: str | None,
    by: By,
    sizes: dict[str, int],
    metadata: Path | None,
    trust: "Trust | None",
    unread: _Unread,
    *,
    stats: bool,
    unfold: bool,
    json: bool,
    first: bool,
) -> "Json":
    import graphml_onnx

    with graphml_onnx.open(path, metadata=metadata, infer_shapes=True, sizes=sizes, trust=trust) as graph:
        module = graph.root if module_path is None else graph.module(module_path)
        if json:
            return _document(graph, module, depth, by, unread, stats=stats)
        if not first:
            show.out("")
        if module is graph.root:
            show.out(_head(graph))
        show.out(_table(graph, module, depth, by, unread, stats=stats, unfold=unfold))
        unread.show()
        show.warn(path, graph.findings)
    return None


def _document(graph: "ModelGraph", module: "Module", depth: int, by: By, unread: _Unread, *, stats: bool) -> "Json":
    from graphml_onnx.graph import inspection

    facts: dict[str, Json] = {
        "path": str(graph.path),
        "name": graph.name,
        "producer": graph.producer,
        "ir_version": graph.ir_version,
        "opsets": dict(graph.opsets),
        "metadata": dict(graph.metadata),
        "hierarchy_source": graph.hierarchy_source,
        "inner_modules": graph.inner_modules,
        "functions": [body.path for body in graph.functions.values()],
        "inputs": [tensor.to_dict() for tensor in graph.inputs],
        "outputs": [tensor.to_dict() for tensor in graph.outputs],
        "external_files": list(inspection.external_files(graph)),
        "findings": [show.notice(finding) for finding in graph.findings],
        "error": None,
    }
    match by:
        case "module":
            shares = [
                share
                for outer in _outermost(graph, module)
                for share in inspection.module_shares(outer, depth, statistics=stats, failed=unread)
            ]
            facts["modules"] = [share.to_dict() for share in shares]
        case "op":
            facts["operators"] = [share.to_dict() for share in inspection.operator_shares(module)]
        case "place":
            facts["places"] = [_place_document(operator) for operator in module.all_operators(bodies=True)]
        case "tensor":
            facts["tensors"] = [t.to_dict() for t in _tensors(module, graph)]
        case "parameter":
            facts["parameters"] = [_parameter_document(p, unread, stats=stats) for p in module.all_parameters()]
    if stats:
        facts["unread"] = unread.documents()
        facts["error"] = next((problem.document() for _, problem in unread.failures), None)
    return facts


def _outermost(graph: "ModelGraph", module: "Module") -> "list[Module]":
    """The modules that have no other around them: for the model also the functions that have modules."""
    functions = [body.root for body in graph.functions.values() if body.root is not None and body.root.children]
    return [module, *functions] if module is graph.root else [module]


def _place_document(operator: "Operator") -> "dict[str, Json]":
    return {
        "operator": operator.label,
        "op_type": operator.op_type,
        "body": operator.body.path,
        "module": operator.module.path,
        "module_source": operator.module.source,
        "placed_by": operator.placed_by,
        "parameters": [t.name for t in operator.inputs if t is not None and t.parameter is not None],
    }


def _parameter_document(parameter: "Parameter", unread: _Unread, *, stats: bool) -> "dict[str, Json]":
    from graphml_onnx.graph.inspection import parameter_statistics

    facts = parameter.to_dict()
    if not stats:
        return facts
    found = parameter_statistics(parameter, unread)
    return facts | {"statistics": None if found is None else found.to_dict()}


def _tensors(module: "Module", graph: "ModelGraph") -> "list[Tensor]":
    if module is graph.root:
        return list(graph.tensors)
    return [t for operator in module.all_operators() for t in operator.outputs if t is not None]


def _head(graph: "ModelGraph") -> str:
    from graphml_onnx.graph.inspection import external_files

    modules = f"{len(graph.modules):,}, from {graph.hierarchy_source}" if graph.modules else ""
    if graph.inner_modules:
        inner = f"{graph.inner_modules:,} in bodies and functions"
        modules = f"{modules}; {inner}" if modules else inner
    rows = [
        ("model", f"{graph.path} ({graph.name})"),
        ("producer", graph.producer),
        ("opset", ", ".join(f"{domain or 'ai.onnx'} {version}" for domain, version in graph.opsets.items())),
        *[("input", f"{tensor.name}: {tensor.type or 'type unknown'}") for tensor in graph.inputs],
        *[("output", f"{tensor.name}: {tensor.type or 'type unknown'}") for tensor in graph.outputs],
        ("modules", modules),
        ("functions", ", ".join(body.path for body in graph.functions.values())),
        *[("metadata", f"{key}: {_shortened(value)}") for key, value in graph.metadata.items()],
        ("data files", ", ".join(external_files(graph))),
    ]
    return show.table([(name, value) for name, value in rows if value]) + "\n"


def _shortened(value: str) -> str:
    return value if len(value) <= _SHOWN else f"{value[: _SHOWN - 1]}…"


_STATISTICS = ("min", "max", "mean", "std", "zeros", "nan")


def _table(
    graph: "ModelGraph", module: "Module", depth: int, by: By, unread: _Unread, *, stats: bool, unfold: bool
) -> str:
    from graphml_onnx.graph import inspection

    match by:
        case "module":
            return module_table(_outermost(graph, module), depth, unread if stats else None, unfold=unfold)
        case "op":
            shares = inspection.operator_shares(module)
            names = [f"{share.class_name}::{share.name}" if share.class_name else share.name for share in shares]
            return _share_table("operator", shares, names)
        case "place":
            rows = [
                [o.label, o.op_type, o.module.label or "(model)", o.placed_by or "?", o.module.source or ""]
                for o in module.all_operators(bodies=True)
            ]
            return show.columns(["operator", "type", "module", "placed by", "module from"], rows, left=5)
        case "tensor":
            rows = [
                [
                    tensor.name,
                    str(tensor.type or "unknown"),
                    tensor.producer.label if tensor.producer else "parameter" if tensor.parameter else "input",
                    str(len(tensor.consumers)),
                ]
                for tensor in _tensors(module, graph)
            ]
            return show.columns(["tensor", "type", "made by", "taken"], rows, left=3)
        case _:
            return _parameter_table(module, unread, stats=stats)


def module_table(
    outermost: "Sequence[Module]", depth: int, unread: _Unread | None = None, *, unfold: bool = False
) -> str:
    """Modules and those in them, down to a depth, with their sums; equal neighbours as one."""
    from graphml_onnx.graph import inspection

    same: list[list[str]] = []
    shares: list[Share] = []
    stats = unread is not None
    for module in outermost:
        if stats or unfold:
            shares += inspection.module_shares(module, depth, statistics=stats, failed=unread)
        else:
            folded = inspection.folded_shares(module, depth)
            shares += [row.share for row in folded]
            same += [[sibling.path for sibling in row.modules] for row in folded]
    names = module_names([(s.name, s.class_name, s.depth) for s in shares], same)
    table = _share_table("module", shares, names, stats=stats)
    deeper = sum(level > depth for module in outermost for level in module.levels(bodies=True).values())
    return table + (f"\n{show.counted(deeper, 'module')} below this depth; --depth shows more" if deeper else "")


def _share_table(kind: str, shares: "Sequence[Share]", names: list[str], *, stats: bool = False) -> str:
    whole = max((share.nbytes for share in shares), default=0) if kind == "module" else sum(s.nbytes for s in shares)
    head = [kind, "operators", "parameters", "bytes", "share", "MACs"]
    rows = []
    for share, name in zip(shares, names, strict=True):
        row = [name, f"{share.operators:,}", f"{share.parameters:,}", show.size(share.nbytes)]
        row += [f"{100 * share.nbytes / whole:.1f} %" if whole else "-", _macs(share)]
        rows.append(row + _cells(share.statistics) if stats else row)
    table = show.columns([*head, *_STATISTICS] if stats else head, rows)
    if any(share.unknown_macs for share in shares):
        table += "\n+ ? depends on an unknown shape or operator; --dim NAME=N gives a dynamic dimension a size"
    return table


def _macs(share: "Share") -> str:
    known = show.number(share.macs) if share.macs else ""
    if share.unknown_macs:
        return f"{known} + ?" if known else "?"
    return known or "0"


def _parameter_table(module: "Module", unread: _Unread, *, stats: bool) -> str:
    from graphml_onnx.graph.inspection import parameter_statistics

    parameters = module.all_parameters()
    rows = []
    for parameter in parameters:
        row = [parameter.name, str(parameter.type), parameter.module.label or "(model)"]
        row += [f"{parameter.size:,}", show.size(parameter.nbytes)]
        rows.append(row + _cells(parameter_statistics(parameter, unread)) if stats else row)
    head = ["parameter", "type", "module", "elements", "bytes"]
    return show.columns([*head, *_STATISTICS] if stats else head, rows, left=3)


def _cells(statistics: "Statistics | None") -> list[str]:
    if statistics is None:  # of weights that cannot be read
        return ["?"] * len(_STATISTICS)
    if not statistics.count:
        return ["-"] * len(_STATISTICS)
    numbers = [getattr(statistics, name) for name in _STATISTICS[:4]]
    counts = [statistics.zeros, statistics.nan]
    return ["-" if number is None else f"{number:.4g}" for number in numbers] + [f"{count:,}" for count in counts]
