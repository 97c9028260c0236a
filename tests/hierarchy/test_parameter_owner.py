"""Which module a parameter belongs to."""

from __future__ import annotations

import pytest
from htp_samples import metadata, module, sample

from graphml_onnx.hierarchy import Operator, build_hierarchy

TREE = metadata(
    module("/M", "", module("/M/Layer.1", "layer.1"), module("/M/Layer.10", "layer.10", module("/M/X", "layer.10.x"))),
    {},
)


@pytest.mark.parametrize(
    ("parameter", "scope"),
    [
        ("layer.1.weight", "layer.1"),
        ("layer.10.bias", "layer.10"),
        ("layer.10.x.deep.weight", "layer.10.x"),
        ("layer.100.weight", ""),
        ("layer", ""),
        ("onnx::MatMul_290", ""),
        ("", ""),
        ("/layer.10/x/Constant_output_0", "layer.10.x"),
        ("/Constant_output_0", ""),
    ],
)
def test_the_longest_dotted_prefix_owns_a_parameter(parameter: str, scope: str) -> None:
    hierarchy = build_hierarchy([], TREE)
    assert hierarchy.modules[hierarchy.owner(parameter)].scope == scope


def test_without_a_root_module_nobody_owns_what_no_scope_begins() -> None:
    hierarchy = build_hierarchy([Operator("/encoder/Add")], None)
    assert hierarchy.owner("encoder.weight") == 0
    assert hierarchy.owner("decoder.weight") == -1
    assert build_hierarchy([], None).owner("encoder.weight") == -1


@pytest.mark.parametrize("with_metadata", [True, False])
def test_parameters_of_a_real_model_find_their_modules(with_metadata: bool) -> None:
    bert = sample("winml-bert-mini-dynamo")
    hierarchy = build_hierarchy(bert.operators, bert.metadata if with_metadata else None)
    owners = {name: hierarchy.modules[hierarchy.owner(name)].scope for name in bert.initializers}
    assert owners["encoder.layer.0.intermediate.dense.bias"] == "encoder.layer.0.intermediate.dense"
    assert owners["embeddings.LayerNorm.weight"] == "embeddings.LayerNorm"
    known = {module.scope for module in hierarchy.modules}
    assert all(scope == name.rpartition(".")[0] for name, scope in owners.items() if name.rpartition(".")[0] in known)
