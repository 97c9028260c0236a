"""What places an operator of which no tag and no scope tells: parameters, neighbours, repeated blocks; and calls."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from graphml_onnx.hierarchy import Graph, Hierarchy, Operator, build_hierarchy
from graphml_onnx.hierarchy.exporter import Texts
from graphml_onnx.hierarchy.parameter_names import owner_path
from tests.hierarchy.htp_samples import scopes

if TYPE_CHECKING:
    from collections.abc import Sequence

MATRIX = (8, 8)


def node(op_type: str, inputs: str, output: str, name: str = "") -> Operator:
    return Operator(name, op_type=op_type, inputs=tuple(inputs.split()), outputs=(output,))


def placed(operators: Sequence[Operator], *weights: str) -> Hierarchy:
    return build_hierarchy(Graph(operators, dict.fromkeys(weights, MATRIX)), None)


@pytest.mark.parametrize(
    ("parameter", "path"),
    [
        ("features.3.weight", "features.3"),
        ("model.encoder.layers.0.self_attn.in_proj_bias", "model.encoder.layers.0.self_attn"),
        ("head.parametrizations.weight.original0", "head"),
        ("conv2d_9/kernel:0", "conv2d_9"),
        ("StatefulPartitionedCall/encoder/dense/MatMul/ReadVariableOp:0", "encoder.dense"),
        ("conv2d_1.w_0", "conv2d_1"),
        ("batch_norm2d_0.b_0", "batch_norm2d_0"),
        ("conv10_expand_bn_offset", "conv10_expand_bn"),
        ("model/conv2d_1/Conv2D_weights_fused_bn", "model.conv2d_1"),
        ("model/block/depthwise_bias_fused_bn", "model.block"),
        ("fire2/squeeze1x1_w_0", "fire2.squeeze1x1"),
        ("conv1_b_0", "conv1"),
        ("layer.0.dense.weight_quantized", "layer.0.dense"),
        ("If_0_then_branch__Inline_0__layer.0.weight", "layer.0"),
        ("ConvBnFusion_W_base_net.0.0.weight", "base_net.0.0"),
        ("ConvMulFusion_W_ConvBnFusion_W_base_net.0.0.weight", "base_net.0.0"),
        ("ConvAddFusion_B_base_net.0.0.bias_token_3", "base_net.0.0"),
        ("ConvBnFusion_BN_B_base_net.0.1.bias", None),
        ("ConvMulFusion_Mul_B_scale.gamma", None),
        ("onnx::Conv_59", None),
        ("val_49_scale", None),
        ("onnx__MatMul_12_scale", None),
        ("/encoder/Constant_output_0", None),
        ("encoder/Reshape/shape:0", None),
        ("cls_token", None),
        ("", None),
        ("a." * 5_000 + "weight", None),
    ],
)
def test_names_of_parameters_tell_their_owner(parameter: str, path: str | None) -> None:
    assert owner_path(parameter) == (None if path is None else tuple(path.split(".")))


class TestParameters:
    def test_two_modules_with_dotted_names_are_enough(self) -> None:
        hierarchy = placed(
            [node("Add", "x query.bias", "a"), node("Add", "a key.bias", "b"), node("Relu", "b", "y")],
            "query.bias",
            "key.bias",
        )
        assert scopes(hierarchy)[:2] == ["query", "key"]

    def test_two_names_without_a_separator_are_not(self) -> None:
        hierarchy = placed(
            [node("Add", "x conv1_bias", "a"), node("Add", "a conv2_bias", "b"), node("Relu", "b", "y")],
            "conv1_bias",
            "conv2_bias",
        )
        assert not hierarchy.modules

    def test_a_bias_that_stands_for_equal_ones_tells_nothing(self) -> None:
        """PyTorch keeps one of several biases that are all zero: its name is that of the first."""
        hierarchy = placed(
            [
                node("Conv", "x first.weight first.bias", "a"),
                node("Conv", "a second.weight first.bias", "b"),
                node("MatMul", "b unnamed", "c"),
                node("Add", "c first.bias", "y"),
            ],
            *("first.weight", "first.bias", "second.weight", "unnamed"),
        )
        assert scopes(hierarchy)[:2] == ["first", "second"]
        assert hierarchy.main.rules[3] != "parameter"

    def test_a_module_that_is_called_again_keeps_its_parameters(self) -> None:
        calls = [
            node("MatMul", "x shared.weight", "a"),
            node("Add", "a shared.bias", "b"),
            node("MatMul", "b shared.weight", "c"),
            node("Add", "c shared.bias", "d"),
            node("MatMul", "d head.weight", "y"),
        ]
        hierarchy = placed(calls, "shared.weight", "shared.bias", "head.weight")
        assert scopes(hierarchy) == ["shared"] * 4 + ["head"]

    def test_what_takes_a_parameter_belongs_to_its_owner(self) -> None:
        hierarchy = placed(
            [node("Conv", "x features.0.weight features.0.bias", "a"), node("Gemm", "a head.1.weight", "y")],
            "features.0.weight",
            "features.0.bias",
            "head.1.weight",
        )
        assert scopes(hierarchy) == ["features.0", "head.1"]
        assert (hierarchy.source, hierarchy.rules) == ("parameters", {"parameter": 2})

    def test_what_prepares_a_weight_is_passed_through_and_follows_its_user(self) -> None:
        hierarchy = placed(
            [
                node("DequantizeLinear", "a.fc.weight_quantized scale zero", "w"),
                node("Transpose", "w", "wt"),
                node("MatMul", "x wt", "h"),
                node("MatMul", "h b.fc.weight", "y"),
            ],
            "a.fc.weight_quantized",
            "b.fc.weight",
            "scale",
            "zero",
        )
        assert scopes(hierarchy) == ["a.fc", "a.fc", "a.fc", "b.fc"]
        assert hierarchy.rules == {"neighbours": 2, "parameter": 2}

    def test_what_is_looked_up_in_a_parameter_is_none_itself(self) -> None:
        """T5 adds a bias that depends on constants alone, and belongs to the attention around the embedding."""
        hierarchy = placed(
            [
                node("Gather", "attention.bias.weight places", "found", "/attention/bias/Gather"),
                node("MatMul", "query key", "scores", "/attention/MatMul"),
                node("Add", "scores found", "a", "/attention/Add"),
                node("MatMul", "a attention.out.weight", "y", "/attention/out/MatMul"),
            ],
            "attention.bias.weight",
            "attention.out.weight",
            "places",
        )
        assert scopes(hierarchy) == ["attention.bias", "attention", "attention", "attention.out"]

    def test_a_product_stands_with_its_bias(self) -> None:
        hierarchy = placed(
            [
                node("MatMul", "x onnx::MatMul_1", "a"),
                node("Add", "a m.query.bias", "b"),
                node("MatMul", "b onnx::MatMul_2", "c"),
                node("Add", "c m.key.bias", "y"),
            ],
            "onnx::MatMul_1",
            "onnx::MatMul_2",
            "m.query.bias",
            "m.key.bias",
        )
        assert scopes(hierarchy) == ["m.query", "m.query", "m.key", "m.key"]

    def test_parameters_of_several_modules_lead_to_the_one_around_them(self) -> None:
        hierarchy = placed(
            [node("Attention", "x l.0.query.weight l.0.key.weight", "a"), node("MatMul", "a l.1.weight", "y")],
            "l.0.query.weight",
            "l.0.key.weight",
            "l.1.weight",
        )
        assert scopes(hierarchy) == ["l.0", "l.1"]

    def test_a_single_owner_tells_nothing(self) -> None:
        assert placed([node("MatMul", "x model.weight", "y")], "model.weight").source == "none"

    def test_names_lead_and_parameters_go_further_below(self) -> None:
        hierarchy = placed(
            [
                node("MatMul", "x attn.query.weight", "a", "/attn/MatMul"),
                node("MatMul", "a attn.key.weight", "b", "/attn/MatMul_1"),
                node("MatMul", "b other.weight", "y", "/attn/MatMul_2"),
            ],
            "attn.query.weight",
            "attn.key.weight",
            "other.weight",
        )
        assert scopes(hierarchy) == ["attn.query", "attn.key", "attn"]  # never out of a module

    def test_a_name_without_a_separator_beside_names_of_modules_is_one_that_a_tool_made(self) -> None:
        """onnxruntime calls a fused attention's weight ``Attention_0_qkv_weight``."""
        operators = [node("MatMul", f"x{number} e.{number}.dense.weight", f"x{number + 1}") for number in range(4)]
        operators.append(node("Attention", "x4 Attention_0_qkv_weight", "y"))
        hierarchy = placed(operators, *(f"e.{number}.dense.weight" for number in range(4)), "Attention_0_qkv_weight")
        assert not any("Attention" in module.scope for module in hierarchy.modules)

    def test_a_product_goes_with_the_bias_that_its_exporter_placed(self) -> None:
        """A quantiser renames the product and its weight, and drops what the exporter wrote of it."""
        places = {"query": "query", "key": "key"}
        operators = []
        for name, scope in places.items():
            operators += [
                node("MatMulInteger", f"x unnamed_{name}", f"i{name}", f"node_MatMul_{name}_quant"),
                node("Cast", f"i{name}", f"c{name}"),
                of_torch(node("Add", f"c{name} {name}.bias", f"o{name}"), scope),
            ]
        weights = dict.fromkeys(("unnamed_query", "unnamed_key", "query.bias", "key.bias"), MATRIX)
        hierarchy = build_hierarchy(Graph(operators, weights), None)
        assert hierarchy.source == "exporter"
        assert [scopes(hierarchy)[position] for position in (0, 3)] == ["query", "key"]

    def test_a_convolution_that_took_in_the_normalization_is_in_its_own_module(self) -> None:
        """PyTorch's dynamo exporter gives it the place of the normalization."""
        operators = [
            of_torch(node("Conv", "x first.conv.weight", "a"), "first", "norm"),
            of_torch(node("Conv", "a second.conv.weight", "y"), "second", "norm"),
        ]
        weights = {"first.conv.weight": (8, 8, 3, 3), "second.conv.weight": (8, 8, 3, 3)}
        assert scopes(build_hierarchy(Graph(operators, weights), None)) == ["first.conv", "second.conv"]

    def test_tags_that_were_made_of_that_place_are_mended_as_well(self) -> None:
        operators = [
            node("Conv", f"x {part}.conv.weight", part)._replace(tag=f"/M/Part.{part}/BatchNorm2d.norm")
            for part in ("first", "second")
        ]
        weights = {"first.conv.weight": (8, 8, 3, 3), "second.conv.weight": (8, 8, 3, 3)}
        assert scopes(build_hierarchy(Graph(operators, weights), None)) == ["first.conv", "second.conv"]

    def test_a_convolution_beside_a_normalization_that_is_there_stays_where_it_is(self) -> None:
        operators = [
            of_torch(node("Conv", "x first.conv.weight", "a"), "first", "other"),
            of_torch(node("Mul", "a first.other.weight", "y"), "first", "other"),
        ]
        weights = {"first.conv.weight": (8, 8, 3, 3), "first.other.weight": (8,)}
        assert scopes(build_hierarchy(Graph(operators, weights), None)) == ["first.other", "first.other"]


def of_torch(operator: Operator, *path: str) -> Operator:
    """An operator with what PyTorch's exporter writes of the modules around it."""
    names = ["", *(".".join(path[: end + 1]) for end in range(len(path)))]
    classes = ["M", *(name.title() for name in path)]
    scopes_text, classes_text = repr([*names, operator.name]), repr([*classes, operator.op_type])
    return operator._replace(texts=Texts(scopes_text, classes_text))


class TestNeighbours:
    LAYERS = ("a.conv1.weight", "a.conv2.weight", "b.conv1.weight")

    def test_an_activation_stands_beside_the_layer_before_it(self) -> None:
        hierarchy = placed(
            [
                node("Conv", "x a.conv1.weight", "h"),
                node("Relu", "h", "i"),
                node("Conv", "i a.conv2.weight", "j"),
                node("Relu", "j", "k"),
                node("Conv", "k b.conv1.weight", "y"),
            ],
            *self.LAYERS,
        )
        assert scopes(hierarchy) == ["a.conv1", "a", "a.conv2", "a", "b.conv1"]

    def test_the_next_one_behind_counts_and_not_all_that_are(self) -> None:
        """What a block makes for itself stays in it, though the end of the model takes it as well."""
        operators = [
            node("Conv", "x a.conv1.weight", "h"),
            node("Split", "h", "i"),
            node("Conv", "i a.conv2.weight", "j"),
            node("Conv", "j b.conv1.weight", "k"),
            node("Concat", "k i", "y"),
        ]
        assert scopes(placed(operators, *self.LAYERS))[1] == "a"
        behind = [
            operators[0],
            operators[1],
            node("Conv", "i b.conv1.weight", "j"),
            node("Conv", "i a.conv2.weight", "k"),
        ]
        assert scopes(placed(behind, *self.LAYERS))[1] is None

    def test_a_residual_addition_belongs_to_its_block(self) -> None:
        hierarchy = placed(
            [
                node("Conv", "x b.conv1.weight", "w"),
                node("Conv", "w a.conv1.weight", "h"),
                node("Conv", "h a.conv2.weight", "i"),
                node("Add", "i w", "j"),
                node("Conv", "j c.conv.weight", "y"),
            ],
            *self.LAYERS,
            "c.conv.weight",
        )
        assert scopes(hierarchy)[3] == "a"

    def test_shapes_and_constants_go_to_their_users(self) -> None:
        hierarchy = placed(
            [
                node("Constant", "", "two"),
                node("Conv", "x a.conv1.weight", "h"),
                node("Shape", "h", "s"),
                node("Pad", "h two s", "i", "/b/c/Pad"),
                node("Conv", "i b.conv1.weight", "y"),
            ],
            *self.LAYERS,
        )
        assert scopes(hierarchy) == ["b.c", "a.conv1", "b.c", "b.c", "b.conv1"]

    def test_what_lies_between_two_modules_is_in_neither(self) -> None:
        hierarchy = placed(
            [
                node("Conv", "x m.a.conv1.weight", "h"),
                node("Reshape", "h", "i"),
                node("Conv", "i m.b.conv1.weight", "y"),
            ],
            "m.a.conv1.weight",
            "m.b.conv1.weight",
        )
        assert scopes(hierarchy)[1] == "m"

    def test_a_size_that_all_layers_share_tells_nothing_of_them(self) -> None:
        """Optimisers compute the size of the batch once, and reshape by it in every layer."""
        operators = [node("Conv", "x stem.weight", "h0"), node("Shape", "x", "s"), node("Gather", "s zero", "batch")]
        for layer in range(2):
            operators += [
                node("MatMul", f"h{layer} e.{layer}.self.q.weight", f"a{layer}"),
                node("Concat", "batch rest", f"c{layer}"),
                node("Reshape", f"a{layer} {'c0' if layer else f'c{layer}'}", f"b{layer}"),
                node("MatMul", f"b{layer} e.{layer}.self.o.weight", f"h{layer + 1}"),
            ]
        names = [f"e.{layer}.self.{part}.weight" for layer in range(2) for part in "qo"]
        hierarchy = placed(operators, "stem.weight", "zero", "rest", *names)
        reshapes = [p for p, operator in enumerate(operators) if operator.op_type == "Reshape"]
        assert [scopes(hierarchy)[position] for position in reshapes] == ["e.0.self", "e.1.self"]

    def test_a_mask_that_all_layers_share_tells_nothing_of_them(self) -> None:
        operators = [node("Conv", "x stem.weight", "h0"), node("Cast", "m", "mask")]
        for layer in range(2):
            operators += [
                node("MatMul", f"h{layer} e.{layer}.self.q.weight", f"a{layer}"),
                node("Where", f"mask a{layer} low", f"b{layer}"),
                node("MatMul", f"b{layer} e.{layer}.self.o.weight", f"h{layer + 1}"),
            ]
        names = [f"e.{layer}.self.{part}.weight" for layer in range(2) for part in "qo"]
        hierarchy = placed(operators, "stem.weight", "low", *names)
        found = [
            place for place, operator in zip(scopes(hierarchy), operators, strict=True) if operator.op_type == "Where"
        ]
        assert found == ["e.0.self", "e.1.self"]

    def test_scales_of_activations_are_no_modules(self) -> None:
        """A quantiser calls them after any tensor: ``gelu_2_scale``."""
        operators, weights = [], ["e.0.fc1.weight", "e.0.fc2.weight"]
        for number, outer in enumerate(("x", "h1")):
            weights += [f"gelu_{number}_scale", f"gelu_{number}_zero_point"]
            operators += [
                node("MatMul", f"{outer} e.0.fc{number + 1}.weight", f"g{number}"),
                node("QuantizeLinear", f"g{number} gelu_{number}_scale gelu_{number}_zero_point", f"q{number}"),
                node("DequantizeLinear", f"q{number} gelu_{number}_scale gelu_{number}_zero_point", f"h{number + 1}"),
            ]
        hierarchy = placed(operators, *weights)
        assert {module.scope for module in hierarchy.modules} == {"e", "e.0", "e.0.fc1", "e.0.fc2"}
        assert scopes(hierarchy)[1] == "e.0"

    def test_a_scale_that_all_normalizations_use_with_a_merged_bias_is_of_none(self) -> None:
        operators = [
            node("Gather", "embeddings.words.weight ids", "e"),
            node("LayerNormalization", "e embeddings.norm.weight embeddings.norm.bias", "h0"),
        ]
        for number in range(3):
            operators += [
                node("MatMul", f"h{number} val_{number}", f"m{number}"),
                node("Add", f"m{number} embeddings.norm.bias", f"a{number}"),
                node("LayerNormalization", f"a{number} embeddings.norm.weight embeddings.norm.bias", f"h{number + 1}"),
            ]
        operators.append(node("MatMul", "h3 pooler.weight", "y"))
        vectors = {"embeddings.norm.weight": (8,), "embeddings.norm.bias": (8,)}
        matrices = dict.fromkeys(("embeddings.words.weight", "pooler.weight", "val_0", "val_1", "val_2"), MATRIX)
        hierarchy = build_hierarchy(Graph(operators, {**vectors, **matrices}), None)
        assert "embeddings.norm" not in scopes(hierarchy)
        assert hierarchy.coverage < 30

    def test_quantised_products_go_into_the_module_that_has_none_of_its_own(self) -> None:
        def names(prefix: str, *more: str) -> list[Operator]:
            return [
                *[node("MatMulNBits", f"{prefix}n val_{prefix}{i}", f"{prefix}{i}") for i in "qkv"],
                node("MatMul", f"{prefix}q {prefix}k", f"{prefix}s", f"/{prefix}/attn/MatMul"),
                node("Softmax", f"{prefix}s", f"{prefix}p", f"/{prefix}/attn/Softmax"),
                node("MatMul", f"{prefix}p {prefix}v", f"{prefix}c", f"/{prefix}/attn/MatMul_1"),
                node("MatMulNBits", f"{prefix}c val_{prefix}o", f"{prefix}o"),
                node("Add", f"{prefix}o {more[0]}", more[1], f"/{prefix}/Add"),
            ]

        operators = [
            node("Mul", "x a.norm.weight", "an", "/a/norm/Mul"),
            *names("a", "x", "h"),
            node("Mul", "h b.norm.weight", "bn", "/b/norm/Mul"),
            *names("b", "h", "y"),
        ]
        matrices = {f"val_{layer}{i}": MATRIX for layer in "ab" for i in "qkvo"}
        norms = {f"{layer}.norm.weight": (8,) for layer in "ab"}
        hierarchy = build_hierarchy(Graph(operators, matrices | norms), None)
        assert scopes(hierarchy) == ["a.norm", *["a.attn"] * 7, "a", "b.norm", *["b.attn"] * 7, "b"]

    def test_a_product_between_modules_that_have_their_own_stays_between(self) -> None:
        operators = [
            node("MatMul", "x a.fc.weight", "h", "/m/a/MatMul"),
            node("MatMul", "h h", "i", "/m/a/MatMul_1"),
            node("MatMulNBits", "i val_1", "j"),
            node("MatMul", "j b.fc.weight", "k", "/m/b/MatMul"),
            node("MatMul", "k k", "y", "/m/b/MatMul_1"),
        ]
        hierarchy = placed(operators, "a.fc.weight", "b.fc.weight", "val_1")
        assert scopes(hierarchy)[2] == "m"


class TestCalls:
    def test_further_calls_of_a_module_are_the_same_module(self) -> None:
        names = ["self_attn", "self_attn_1", "self_attn_7"]
        operators = [
            node("MatMul", f"x{number} layer.self_attn.weight", f"x{number + 1}", f"/layer/{name}/MatMul")
            for number, name in enumerate(names)
        ]
        operators.append(node("MatMul", "x3 layer.fc.weight", "y", "/layer/fc/MatMul"))
        hierarchy = placed(operators, "layer.self_attn.weight", "layer.fc.weight")
        assert scopes(hierarchy) == ["layer.self_attn"] * 3 + ["layer.fc"]
        assert hierarchy.main.calls == {1: "self_attn 1", 2: "self_attn 7"}

    def test_a_number_that_parameters_know_is_part_of_the_name(self) -> None:
        operators = [node("Conv", f"x conv_{i}.weight", f"y{i}", f"/conv_{i}/Conv") for i in (1, 2)]
        hierarchy = placed(operators, "conv_1.weight", "conv_2.weight")
        assert scopes(hierarchy) == ["conv_1", "conv_2"]
        assert hierarchy.main.calls == {}

    def test_an_activation_of_a_list_that_is_called_again_is_one_module(self) -> None:
        names = ["actor.0/Gemm", "actor.1/Elu", "actor.2/Gemm", "actor.1_1/Elu", "actor.4/Gemm", "actor.1_2/Elu"]
        operators = [
            node(name.partition("/")[2], f"x{number}", f"x{number + 1}", f"/actor/{name}")
            for number, name in enumerate(names)
        ]
        hierarchy = placed(operators)
        assert scopes(hierarchy) == [f"actor.{index}" for index in (0, 1, 2, 1, 4, 1)]
        assert hierarchy.main.calls == {3: "1 1", 5: "1 2"}

    def test_a_key_with_a_number_is_no_call_if_there_is_no_first(self) -> None:
        operators = [node("Relu", f"x{i}", f"x{i + 1}", f"/heads/heads.{i}_1/Relu") for i in (2, 3)]
        assert placed(operators).main.calls == {}


def residual_network() -> list[Operator]:
    """The operators of a ResNet-50, without names: 16 blocks in stages of 3, 4, 6 and 3; each stage begins wider."""
    found = [node("Conv", "x w", "t0"), node("Relu", "t0", "t1"), node("MaxPool", "t1", "h")]
    for stage, blocks in enumerate((3, 4, 6, 3)):
        for block in range(blocks):
            key = f"{stage}_{block}"
            outer = found[-1].outputs[0]
            found += [
                node("Conv", f"{outer} s{stage}", f"a{key}"),
                node("Relu", f"a{key}", f"b{key}"),
                node("Conv", f"b{key} s{stage}", f"c{key}"),
                node("Relu", f"c{key}", f"d{key}"),
                node("Conv", f"d{key} s{stage}", f"e{key}"),
            ]
            if not block:
                found.append(node("Conv", f"{outer} s{stage}", f"f{key}"))
            found += [
                node("Add", f"e{key} {outer if block else f'f{key}'}", f"g{key}"),
                node("Relu", f"g{key}", f"h{key}"),
            ]
    return [*found, node("GlobalAveragePool", found[-1].outputs[0], "p"), node("Gemm", "p w", "y")]


RESIDUAL_WEIGHTS = {"w": (64, 3), **{f"s{stage}": (64 << stage, 64 << stage) for stage in range(4)}}


def transformer(layers: int) -> list[Operator]:
    """The operators of a BERT, without names."""
    found = [node("Gather", "table ids", "h")]
    for layer in range(layers):
        outer, k = found[-1].outputs[0], layer
        found += [
            node("MatMul", f"{outer} w", f"q{k}"),
            node("MatMul", f"{outer} w", f"k{k}"),
            node("MatMul", f"{outer} w", f"v{k}"),
            node("MatMul", f"q{k} k{k}", f"s{k}"),
            node("Softmax", f"s{k}", f"p{k}"),
            node("MatMul", f"p{k} v{k}", f"c{k}"),
            node("MatMul", f"c{k} w", f"o{k}"),
            node("Add", f"o{k} {outer}", f"r{k}"),
            node("LayerNormalization", f"r{k} n n", f"l{k}"),
            node("MatMul", f"l{k} w4", f"i{k}"),
            node("Gelu", f"i{k}", f"g{k}"),
            node("MatMul", f"g{k} w1", f"d{k}"),
            node("Add", f"d{k} l{k}", f"e{k}"),
            node("LayerNormalization", f"e{k} n n", f"h{k}"),
        ]
    return found


TRANSFORMER_WEIGHTS = {"w": (64, 64), "w4": (64, 256), "w1": (256, 64), "table": (100, 64), "n": (64,)}


def blocks(hierarchy: Hierarchy) -> list[list[int]]:
    """The positions of the operators in each block, for blocks in their order."""
    found: dict[int, list[int]] = {}
    for position, module in enumerate(hierarchy.placement):
        if module >= 0:
            found.setdefault(module, []).append(position)
    return list(found.values())


class TestRepetition:
    def test_the_blocks_of_a_residual_network(self) -> None:
        operators = residual_network()
        hierarchy = build_hierarchy(Graph(operators, RESIDUAL_WEIGHTS), None)
        assert hierarchy.source == "repetition"
        found = blocks(hierarchy)
        assert len(found) == 15  # the very first block is like no other, and nothing repeats before it
        assert all(operators[block[0]].op_type == "Conv" for block in found)
        assert all(operators[block[-1]].op_type == "Relu" for block in found)
        assert [len(block) for block in found] == [7, 7, 8, 7, 7, 7, 8, 7, 7, 7, 7, 7, 8, 7, 7]

    def test_the_layers_of_a_transformer(self) -> None:
        hierarchy = build_hierarchy(Graph(transformer(12), TRANSFORMER_WEIGHTS), None)
        assert hierarchy.source == "repetition"
        assert blocks(hierarchy) == [list(range(start, start + 14)) for start in range(1, 169, 14)]
        assert [module.label for module in hierarchy.modules][:2] == ["block.0", "block.1"]

    def test_blocks_that_become_wider_from_one_to_the_next(self) -> None:
        operators, weights, outer = [node("Slice", "x", "h")], {}, "h"
        for number in range(5):
            weights |= {f"v{number}": (48 << number, 24 << number, 3, 3), f"w{number}": (48 << number,) * 2 + (1, 1)}
            operators += [
                node("Conv", f"{outer} v{number}", f"a{number}"),
                node("Relu", f"a{number}", f"b{number}"),
                node("Conv", f"b{number} w{number}", f"c{number}"),
                node("Relu", f"c{number}", f"d{number}"),
            ]
            outer = f"d{number}"
        hierarchy = build_hierarchy(Graph(operators, weights), None)
        assert blocks(hierarchy) == [list(range(start, start + 4)) for start in range(1, 21, 4)]

    def test_it_is_never_asked_where_names_tell(self) -> None:
        operators = transformer(12)
        operators[5] = operators[5]._replace(name="/encoder/Softmax")
        hierarchy = build_hierarchy(Graph(operators, TRANSFORMER_WEIGHTS), None)
        assert {module.told_by for module in hierarchy.modules} == {"names"}

    def test_nor_in_a_body_whose_names_all_tell_of_the_module_around_it(self) -> None:
        body = [op._replace(name=f"/decoder/{op.op_type}_{number}") for number, op in enumerate(transformer(12))]
        choice = node("If", "c", "y", "/decoder/If")._replace(bodies=(Graph(body, TRANSFORMER_WEIGHTS),))
        hierarchy = build_hierarchy(Graph([node("Add", "a a", "c", "/decoder/Add"), choice], {}), None)
        [found] = hierarchy.main.bodies[1]
        assert (found.modules, set(found.rules)) == ((), {"name"})

    def test_names_of_operators_without_any_module_do_not_keep_it_away(self) -> None:
        operators = [op._replace(name=f"/{op.op_type}_{number}") for number, op in enumerate(transformer(12))]
        hierarchy = build_hierarchy(Graph(operators, TRANSFORMER_WEIGHTS), None)
        assert hierarchy.source == "repetition"
        assert len(blocks(hierarchy)) == 12

    def test_what_occurs_once_is_no_block(self) -> None:
        assert build_hierarchy(Graph(transformer(1), TRANSFORMER_WEIGHTS), None).source == "none"

    def test_the_cost_grows_as_the_graph_does(self) -> None:
        small, large = [calls(Graph(transformer(layers), TRANSFORMER_WEIGHTS)) for layers in (50, 100)]
        assert large < 2.1 * small


def calls(graph: Graph) -> int:
    """How often placing calls a function, of Python or not."""
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(note)
    try:
        build_hierarchy(graph, None)
    finally:
        sys.setprofile(None)
    return count


class TestBodies:
    """Names in a body are paths from the model, or from the module that the operator of the body is in."""

    @pytest.mark.parametrize(
        ("inner", "expected"),
        [
            ("/decoder/block.0/conv/Mul", ["decoder.block.0.conv"]),  # in that module
            ("/decoder/block.0/Mul", []),  # that module itself
            ("/decoder/Mul", []),  # around it
            ("/decoder/norm/Mul", ["decoder.norm"]),  # beside it
            ("/conv/norm/Mul", ["decoder.block.0.conv", "decoder.block.0.conv.norm"]),  # from that module
        ],
    )
    def test_each_module_is_there_once(self, inner: str, expected: list[str]) -> None:
        operators = [node("Mul", f"x{n} x{n}", f"x{n + 1}", f"{inner}_{n}") for n in range(3)]
        choice = node("If", "c", "y", "/decoder/block.0/If")._replace(bodies=(Graph(operators),))
        [found] = placed([node("Add", "a a", "c", "/decoder/block.0/Add"), choice]).main.bodies[1]
        assert [module.scope for module in found.modules] == expected
        assert set(found.placement) == {len(expected) - 1}
