"""Writes the HTP metadata of an export, in the dialect that tags operators in ``metadata_props`` (docs/htp.md)."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from graphml_onnx.errors import MetadataError, UsageError
from graphml_onnx.hierarchy.paths import joined, last_part
from graphml_onnx.hierarchy.schema import check

if TYPE_CHECKING:
    from graphml_onnx.exporting.record import ExportRecord, FileRecord, Match, OperatorRecord, TensorRecord
    from graphml_onnx.hierarchy.tree import Module
    from graphml_onnx.support.strictjson import Json

_VERSION: Final = "1.0"
"""Version of the metadata, as other exporters count it."""

_SOURCES: Final = {"dynamo": "onnx_metadata", "torchscript": "trace"}
_MIB: Final = 1 << 20


def metadata_json(record: ExportRecord, started: datetime) -> bytes:
    """Writes HTP metadata; the same record and time give the same bytes.

    Args:
        record: the export; values that its files and steps do not have yet are left out.
        started: when the export started, with its time zone.

    Returns:
        The content of the file, in UTF-8.

    Raises:
        UsageError: operators share a name, or modules a scope, so that the metadata cannot distinguish them.
        MetadataError: the metadata violate their schema, for example with an empty tag.
    """
    document = _document(record, started)
    check(document)
    try:
        return f"{json.dumps(document, indent=2)}\n".encode()
    except RecursionError:
        raise MetadataError("modules are nested too deeply", place="modules") from None


def _document(record: ExportRecord, started: datetime) -> dict[str, Json]:
    model = record.model
    seconds = sum(step.seconds for step in record.steps)
    return {
        "export_context": {
            "timestamp": _timestamp(started),
            "strategy": "htp",
            "version": _VERSION,
            "exporter": "graphml-onnx",
            "embed_hierarchy_attributes": record.exporter.embeds_tags,
            "export_time_seconds": seconds,
            "versions": dict(sorted(record.exporter.versions.items())),
            **({"options": dict(record.options)} if record.options else {}),
        },
        "model": {
            "name_or_path": model.source,
            "class_name": model.class_name,
            "framework": model.framework,
            "total_modules": model.torch_modules,
            "total_parameters": model.parameters,
        },
        "tracing": {
            "builder": f"graphml-onnx {record.exporter.name}",
            **_traced(record),
            "model_type": model.model_type,
            "task": model.task,
            "inputs": _tensors(record.inputs),
        },
        "modules": _nested(record.modules),
        "nodes": _nodes(record),
        "outputs": {file.role: _file(file, record) for file in record.files},
        "report": {"steps": _steps(record, started)},
        "statistics": {
            "export_time": seconds,
            "hierarchy_modules": model.torch_modules,
            "traced_modules": len(record.modules),
            "onnx_nodes": len(_main(record)),
            "tagged_nodes": len(_main(record)),
            "empty_tags": 0,
            "coverage_percentage": 100.0,
            "module_types": [*sorted({module.class_name for module in record.modules})],
        },
    }


def _main(record: ExportRecord) -> list[OperatorRecord]:
    """The operators of the main graph: HTP metadata have no others."""
    return [operator for operator in record.operators if not operator.in_body]


def _nodes(record: ExportRecord) -> dict[str, Json]:
    operators = _main(record)
    nodes: dict[str, Json] = {
        operator.name: record.modules[operator.module].tag for operator in operators if operator.name
    }
    if len(nodes) != len(operators):
        raise UsageError("operators without a name, or with the same name", remedy="name them first")
    return nodes


def _nested(modules: tuple[Module, ...]) -> dict[str, Json]:
    """The root module with its children inside, each after the module's own members."""
    entries = [_module(module) for module in modules]
    children: dict[int, dict[str, Json]] = {}
    repeated = Counter((module.parent, module.class_name) for module in modules)
    keys_of: list[tuple[str, ...]] = [
        () if module.parent is None else _child_keys(module, modules[module.parent]) for module in modules
    ]
    longest = {(module.parent, *keys[-1:]) for module, keys in zip(modules, keys_of, strict=True)}
    for index, (module, keys) in enumerate(zip(modules, keys_of, strict=True)):
        if module.parent is None:
            continue
        if module.parent not in children:
            children[module.parent] = {}
            entries[module.parent]["children"] = children[module.parent]
        siblings = children[module.parent]
        is_alone = repeated[module.parent, module.class_name] == 1 and not last_part(module.scope).isdigit()
        for key in keys[0 if is_alone else 1 :]:
            is_free = key == keys[-1] or (module.parent, key) not in longest  # a sibling may have no other key
            if is_free and key not in siblings:
                siblings[key] = entries[index]
                break
        else:
            raise UsageError("two modules have the same scope", place=module.scope)
    return entries[0] if entries else {}


def _child_keys(module: Module, outer: Module) -> tuple[str, str, str]:
    """The class, with the name for an item of a list or one of several, or with the scope within ``outer``."""
    class_name, scope = module.class_name, module.scope
    return (
        class_name,
        joined(class_name, last_part(scope)),
        joined(class_name, scope.removeprefix(f"{outer.scope}.")),
    )


def _module(module: Module) -> dict[str, Json]:
    told: dict[str, Json] = {
        "class_name": module.class_name,
        "traced_tag": module.tag,
        "scope": module.scope,
        "execution_order": module.execution_order,
        "source": module.source,
        "module_type": module.module_type,
    }
    return {key: value for key, value in told.items() if value is not None}


def _traced(record: ExportRecord) -> dict[str, Json]:
    return {
        "source": _SOURCES[record.exporter.name],
        "modules_traced": len(record.modules),
        "execution_steps": record.exporter.execution_steps,
    }


def _tensors(tensors: tuple[TensorRecord, ...]) -> dict[str, Json]:
    return {tensor.name: {"shape": [*tensor.shape], "dtype": f"torch.{tensor.dtype}"} for tensor in tensors}


def _file(file: FileRecord, record: ExportRecord) -> dict[str, Json]:
    told: dict[str, Json] = {"path": file.path}
    if file.role == "onnx_model":
        told |= {
            "size_mb": _mebibytes(file),
            "opset_version": record.exporter.opset_version,
            "output_names": [output.name for output in record.outputs],
        }
    told |= {"size_bytes": file.size, "sha256": file.sha256}
    return {key: value for key, value in told.items() if value is not None}


def _mebibytes(file: FileRecord | None) -> float:
    return round((file.size or 0) / _MIB, 2) if file else 0.0


def _steps(record: ExportRecord, started: datetime) -> dict[str, Json]:
    """Each step with the time at which it ended, its duration, and its values in HTP metadata."""
    told = _told_of_steps(record)
    steps: dict[str, Json] = {}
    elapsed = 0.0
    for step in record.steps:
        elapsed += step.seconds
        done: dict[str, Json] = {"completed": True, "timestamp": _timestamp(started + timedelta(seconds=elapsed))}
        steps[step.name] = {**done, "seconds": step.seconds, **told.get(step.name, {})}
    return steps


def _told_of_steps(record: ExportRecord) -> dict[str, dict[str, Json]]:
    model, exporter, total = record.model, record.exporter, len(_main(record))
    onnx_file = next((file for file in record.files if file.role == "onnx_model"), None)
    return {
        "model_preparation": {
            "model_class": model.class_name,
            "total_modules": model.torch_modules,
            "total_parameters": model.parameters,
        },
        "input_generation": {
            "method": record.input_method,
            "model_type": model.model_type,
            "task": model.task,
            "inputs": _tensors(record.inputs),
        },
        "hierarchy_building": _traced(record),
        "onnx_export": {
            "opset_version": exporter.opset_version,
            "do_constant_folding": exporter.folds_constants,
            "onnx_size_mb": _mebibytes(onnx_file),
            "output_names": [output.name for output in record.outputs],
        },
        "node_tagging": {
            "total_nodes": total,
            "tagged_nodes_count": total,
            "coverage_percentage": 100.0,
            "statistics": _matches(record),
            "coverage": {"percentage": 100.0, "total_onnx_nodes": total, "tagged_nodes": total},
            "rules": dict(Counter(operator.rule.name for operator in _main(record))),
        },
        "tag_injection": {"tags_injected": exporter.embeds_tags, "tags_stripped": not exporter.embeds_tags},
    }


def _matches(record: ExportRecord) -> dict[str, Json]:
    operators = _main(record)
    count: Counter[Match] = Counter(operator.rule.match for operator in operators)
    told = {operator.module for operator in operators if operator.rule.match != "root"}
    return {
        "root_nodes": count["root"],
        "scoped_nodes": len(operators) - count["root"],
        "unique_scopes": len(told),
        "direct_matches": count["direct"],
        "parent_matches": count["parent"],
        "operation_matches": count["operation"],
        "root_fallbacks": count["root"],
    }


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
