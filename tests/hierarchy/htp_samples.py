"""The models of fixtures/htp as the hierarchy sees them, and small metadata written in place."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx

from graphml_onnx import hierarchy as package
from graphml_onnx.hierarchy import Graph, Hierarchy, HtpMetadata, Operator, Texts, read_metadata

if TYPE_CHECKING:
    from collections.abc import Iterable

FOLDER = Path(__file__).parents[2] / "fixtures" / "htp"
NAMES = sorted(folder.name for folder in FOLDER.iterdir() if folder.is_dir())
DYNAMO = [name for name in NAMES if name.endswith("-dynamo")]
TORCHSCRIPT = [name for name in NAMES if name not in DYNAMO]


def build_hierarchy(operators: Iterable[Operator], metadata: HtpMetadata | None, *, refine: bool = True) -> Hierarchy:
    """The hierarchy of operators of which only the names are known, and what exporters wrote into them."""
    return package.build_hierarchy(Graph(tuple(operators)), metadata, refine=refine)


@dataclass(frozen=True)
class Sample:
    operators: tuple[Operator, ...]
    initializers: tuple[str, ...]
    metadata: HtpMetadata
    json: dict[str, Any]


@cache
def sample(name: str) -> Sample:
    model = onnx.load(FOLDER / name / "model.onnx")
    data = (FOLDER / name / "model_htp_metadata.json").read_bytes()
    return Sample(
        operators=tuple(_operator(node) for node in model.graph.node),
        initializers=tuple(tensor.name for tensor in model.graph.initializer),
        metadata=read_metadata(data, None),
        json=json.loads(data),
    )


def _operator(node: onnx.NodeProto) -> Operator:
    texts = {entry.key: entry.value for entry in node.metadata_props}
    attributes = {attribute.name: attribute.s.decode() for attribute in node.attribute}
    return Operator(
        name=node.name,
        tag=texts.get("winml.hierarchy.tag") or attributes.get("hierarchy_tag"),
        texts=Texts(
            texts.get("pkg.torch.onnx.name_scopes"),
            texts.get("pkg.torch.onnx.class_hierarchy"),
            texts.get("namespace"),
        ),
    )


def without(operators: Iterable[Operator], *fields: str) -> list[Operator]:
    nothing: dict[str, Any] = dict.fromkeys(fields)
    return [operator._replace(**nothing) for operator in operators]


def without_texts(operators: Iterable[Operator], *fields: str) -> list[Operator]:
    nothing: dict[str, Any] = dict.fromkeys(fields)
    return [operator._replace(texts=operator.texts and operator.texts._replace(**nothing)) for operator in operators]


def metadata(modules: object, nodes: object, **sections: object) -> HtpMetadata:
    return read_metadata(json.dumps({"modules": modules, "nodes": nodes, **sections}).encode(), "model.json")


def module(tag: str, scope: str, *children: dict[str, Any]) -> dict[str, Any]:
    class_name = tag.rpartition("/")[2].partition(".")[0]
    keyed = {f"{child['class_name']}.{index}": child for index, child in enumerate(children)}
    return {"class_name": class_name, "traced_tag": tag, "scope": scope, **({"children": keyed} if keyed else {})}


def scopes(hierarchy: Hierarchy) -> list[str | None]:
    """The scope of each operator's module; None for an operator directly in the model."""
    return [hierarchy.modules[index].scope if index >= 0 else None for index in hierarchy.placement]


def tags(hierarchy: Hierarchy) -> list[str | None]:
    """The tag of each operator's module; None for an operator directly in the model."""
    return [hierarchy.modules[index].tag if index >= 0 else None for index in hierarchy.placement]


def shape(hierarchy: Hierarchy) -> set[tuple[str, str, str, str, str | None]]:
    """The tree without the order of siblings and without what only metadata tells."""
    return {
        (m.scope, m.class_name, m.tag, m.name, None if m.parent is None else hierarchy.modules[m.parent].scope)
        for m in hierarchy.modules
    }
