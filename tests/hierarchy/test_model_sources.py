"""The tree from what the model itself tells: tags, the exporter's metadata, names, or nothing."""

from __future__ import annotations

import pytest

from graphml_onnx import hierarchy as package
from graphml_onnx.hierarchy import Graph, Hierarchy, Operator, Texts
from tests.hierarchy.htp_samples import (
    DYNAMO,
    NAMES,
    TORCHSCRIPT,
    build_hierarchy,
    sample,
    scopes,
    shape,
    tags,
    without,
    without_texts,
)


def from_metadata(name: str) -> Hierarchy:
    return build_hierarchy(sample(name).operators, sample(name).metadata, refine=False)


def tagged(*given: str | None) -> Hierarchy:
    return build_hierarchy([Operator("", tag=tag) for tag in given], None)


def named(*given: str) -> Hierarchy:
    return build_hierarchy([Operator(name) for name in given], None)


class TestTags:
    @pytest.mark.parametrize("name", NAMES)
    def test_a_tree_from_tags_places_operators_as_the_metadata_does(self, name: str) -> None:
        hierarchy = build_hierarchy(sample(name).operators, None, refine=False)
        assert hierarchy.source == "tags"
        assert tags(hierarchy) == tags(from_metadata(name))
        assert list(hierarchy.tags) == tags(hierarchy)
        assert {m.tag for m in hierarchy.modules} <= {m.tag for m in sample(name).metadata.modules}
        assert hierarchy.findings == ()

    @pytest.mark.parametrize("name", DYNAMO)
    def test_the_exporter_tells_the_scopes_that_tags_leave_out(self, name: str) -> None:
        hierarchy = build_hierarchy(sample(name).operators, None, refine=False)
        assert shape(hierarchy) == shape(from_metadata(name))

    def test_the_exporter_may_tell_of_more_modules(self) -> None:
        operator = Operator("", tag="/M/A.0", texts=Texts(namespace=": m.M/list: m.List/list.0: m.A/op: op"))
        assert scopes(build_hierarchy([operator], None)) == ["list.0"]

    def test_an_exporter_that_tells_of_another_class_is_not_asked(self) -> None:
        operator = Operator("", tag="/M/A.a/Conv2d.conv", texts=Texts(namespace=": m.M/a: m.A/a.norm: n.Norm/op: op"))
        assert scopes(build_hierarchy([operator], None)) == ["a.conv"]

    def test_segments_hold_class_and_name(self) -> None:
        hierarchy = tagged("/BertModel/BertEncoder.encoder/BertLayer.0/Linear")
        assert [(m.parent, m.class_name, m.name, m.scope, m.tag) for m in hierarchy.modules] == [
            (None, "BertModel", "BertModel", "", "/BertModel"),
            (0, "BertEncoder", "encoder", "encoder", "/BertModel/BertEncoder.encoder"),
            (1, "BertLayer", "0", "encoder.0", "/BertModel/BertEncoder.encoder/BertLayer.0"),
            (2, "Linear", "Linear", "encoder.0.Linear", "/BertModel/BertEncoder.encoder/BertLayer.0/Linear"),
        ]

    def test_scopes_stay_unique(self) -> None:
        hierarchy = tagged("/M/Conv.0", "/M/Norm.0", "/M/x.a.b", "/M/y.a/b", "/M/y.a/z.b", "/M/Norm/0")
        found = [m.scope for m in hierarchy.modules]
        assert found[:3] == ["", "0", "Norm.0"]
        assert len(set(found)) == len(found) == 9

    def test_several_outermost_modules_have_scopes_of_their_own(self) -> None:
        hierarchy = tagged("/Encoder/Layer.0", "/Decoder/Layer.0", None)
        assert scopes(hierarchy) == ["Encoder.0", "Decoder.0", None]

    def test_operators_without_a_tag_are_placed_by_scope_or_name_or_in_the_root(self) -> None:
        operators = [
            Operator("tagged", tag="/M/Encoder.encoder"),
            Operator("/encoder/dropout/Add"),
            Operator("traced", texts=Texts(namespace=": m.M/encoder: m.E/add: aten.add")),
            Operator("Constant_1"),
            Operator("", tag=""),
            Operator("", tag="//"),
        ]
        hierarchy = build_hierarchy(operators, None)
        assert scopes(hierarchy) == ["encoder", "encoder.dropout", "encoder", "", "", ""]
        assert hierarchy.rules == {"tag": 1, "name": 1, "scope": 1, "root": 3}
        assert hierarchy.coverage == 50.0
        assert hierarchy.findings == (
            'operators that the source does not place, left in the root: 3, for example "Constant_1", ""',
        )

    def test_a_tag_of_nothing_but_slashes_tells_of_no_module(self) -> None:
        told = Texts(name_scopes="['', 'encoder', 'op']", class_hierarchy="['m.M', 'm.E', 'op']")
        operators = [Operator("a", tag="/M/E.encoder", texts=told), Operator("b", tag="//", texts=told)]
        hierarchy = build_hierarchy(operators, None)
        assert tags(hierarchy)[0] == "/M/E.encoder"

    def test_a_tag_may_go_deeper_than_the_tree(self) -> None:
        hierarchy = tagged("/M" * 150, "/M" * 100)
        assert len(hierarchy.modules) == 100
        assert list(hierarchy.placement) == [99, 99]
        assert hierarchy.findings[0].startswith("paths of more than 100 modules, cut off at that level: 1,")


class TestNamesRefineTags:
    @pytest.mark.parametrize("name", TORCHSCRIPT)
    def test_names_tell_the_scopes_that_tags_leave_out(self, name: str) -> None:
        told = {m.tag: m.scope for m in build_hierarchy(sample(name).operators, None).modules if m.told_by == "tags"}
        known = {m.tag: m.scope for m in sample(name).metadata.modules}
        assert told.items() <= known.items()

    @pytest.mark.parametrize("name", NAMES)
    def test_with_tags_no_operator_stands_higher_than_with_names_alone(self, name: str) -> None:
        operators = sample(name).operators
        by_names = scopes(build_hierarchy(without(operators, "tag"), None))
        assert all(
            (tagged or "").startswith(named or "")
            for tagged, named in zip(scopes(build_hierarchy(operators, None)), by_names, strict=True)
        )

    def test_names_place_further_below_coarse_tags(self) -> None:
        tag = "/M/Encoder/Block.0"
        hierarchy = build_hierarchy(
            [
                Operator("/encoder/blocks.0/conv/Conv", tag=tag),
                Operator("/encoder/blocks.0/Add", tag=tag),
                Operator("/encoder/blocks.1/norm/Mul", tag="/M/Encoder/Block.1"),
            ],
            None,
        )
        assert scopes(hierarchy) == ["encoder.blocks.0.conv", "encoder.blocks.0", "encoder.blocks.1.norm"]
        assert [(m.label, m.told_by) for m in hierarchy.modules] == [
            ("M", "tags"),
            ("encoder: Encoder", "tags"),
            ("0: Block", "tags"),
            ("1: Block", "tags"),
            ("conv", "names"),
            ("norm", "names"),
        ]

    def test_tags_keep_their_own_depth_on_demand(self) -> None:
        hierarchy = build_hierarchy([Operator("/a/conv/Conv", tag="/M/A")], None, refine=False)
        assert [(m.label, m.scope) for m in hierarchy.modules] == [("M", ""), ("A", "A")]

    def test_a_tag_of_several_modules_is_as_many(self) -> None:
        tags = {"/first/fc/MatMul": "/M/Mlp", "": "/M/Mlp", "/second/fc/MatMul": "/M/Mlp", "/first/Relu": "/M/Mlp/Relu"}
        hierarchy = build_hierarchy([Operator(name, tag=tag) for name, tag in tags.items()], None)
        assert scopes(hierarchy) == ["first.fc", "first", "second.fc", "first.Relu"]
        assert [m.label for m in hierarchy.modules] == ["M", "first: Mlp", "second: Mlp", "Relu", "fc", "fc"]

    def test_further_calls_are_the_module_of_the_first(self) -> None:
        operators = [Operator(f"/layer/attention{call}/MatMul", tag="/M/Layer/Attention") for call in ("", "_1", "_2")]
        graph = Graph(
            [o._replace(inputs=("layer.attention.weight",)) for o in operators], {"layer.attention.weight": (4, 4)}
        )
        hierarchy = package.build_hierarchy(graph, None)
        assert scopes(hierarchy) == ["layer.attention"] * 3
        assert hierarchy.main.calls == {1: "attention 1", 2: "attention 2"}

    def test_parameters_tell_the_lists_that_tags_leave_out(self) -> None:
        operators = [
            Operator(f"node_{number}", tag=f"/M/Layer.{number}/Linear.fc", op_type="MatMul", inputs=("x", weight))
            for number, weight in enumerate(("layers.0.fc.weight", "layers.1.fc.weight"))
        ]
        graph = Graph(operators, dict.fromkeys(("layers.0.fc.weight", "layers.1.fc.weight"), (4, 4)))
        assert scopes(package.build_hierarchy(graph, None)) == ["layers.0.fc", "layers.1.fc"]

    def test_a_parameter_that_modules_share_tells_of_none_without_a_name(self) -> None:
        operators = [
            Operator("", tag="/M/Stack", op_type="Gather", inputs=("shared.weight", "ids")),
            Operator("", tag="/M/Stack/Linear.fc", op_type="MatMul", inputs=("x", "encoder.fc.weight")),
        ]
        graph = Graph(operators, dict.fromkeys(("shared.weight", "encoder.fc.weight"), (4, 4)))
        assert scopes(package.build_hierarchy(graph, None))[0] == "Stack"


class TestExporter:
    @pytest.mark.parametrize("name", DYNAMO)
    def test_the_exporters_metadata_gives_the_tree_of_the_htp_metadata(self, name: str) -> None:
        hierarchy = build_hierarchy(without(sample(name).operators, "tag"), None, refine=False)
        assert hierarchy.source == "exporter"
        assert shape(hierarchy) == shape(from_metadata(name))
        assert tags(hierarchy) == tags(from_metadata(name))
        assert hierarchy.rules == {"scope": len(sample(name).operators)}

    @pytest.mark.parametrize("name", DYNAMO)
    @pytest.mark.parametrize("lost", [("name_scopes", "class_hierarchy"), ("name_scopes",), ("class_hierarchy",)])
    def test_namespace_holds_the_same(self, name: str, lost: tuple[str, ...]) -> None:
        operators = without(sample(name).operators, "tag")
        assert build_hierarchy(without_texts(operators, *lost), None) == build_hierarchy(operators, None)

    @pytest.mark.parametrize("name", DYNAMO)
    def test_the_lists_alone_are_enough(self, name: str) -> None:
        operators = without(sample(name).operators, "tag")
        assert build_hierarchy(without_texts(operators, "namespace"), None) == build_hierarchy(operators, None)

    @pytest.mark.parametrize(
        "scopes_text",
        [
            "",
            "[",
            "[]",
            "['']",
            "['', 'a'",
            "['', 'a', 'op'] ",
            "['', 'a', 'op'], 'x'",
            "['' 'a', 'op']",
            "['', a, 'op']",
            "['', 'a', op']",
            "('', 'a', 'op')",
            "['', 'a', 'op\\']",
            "['', ['a'], 'op']",
            "__import__('os').abort()",
            "[" * 100_000,
            "['a', " * 100_000,
        ],
    )
    def test_a_text_that_is_no_list_of_strings_tells_nothing(self, scopes_text: str) -> None:
        operator = Operator("x", texts=Texts(name_scopes=scopes_text, class_hierarchy="['m.M', 'm.A', 'aten.add']"))
        assert build_hierarchy([operator], None).source == "none"

    def test_lists_of_different_length_tell_nothing(self) -> None:
        operator = Operator("x", texts=Texts(name_scopes="['', 'a', 'op']", class_hierarchy="['m.M', 'op']"))
        assert build_hierarchy([operator], None).source == "none"

    @pytest.mark.parametrize("namespace", ["", "/", "x/: m.M", ": m.M/encoder/add: aten.add"])
    def test_a_namespace_of_another_kind_tells_nothing(self, namespace: str) -> None:
        assert build_hierarchy([Operator("x", texts=Texts(namespace=namespace))], None).source == "none"

    @pytest.mark.parametrize(
        "scope",
        ["it's", 'say "it\'s"', "back\\slash", "line\nbreak\ttab\r", "é漢", "\x00\x7f\xa0", "\U0001f600", "\ud800"],
    )
    def test_lists_are_read_as_python_writes_them(self, scope: str) -> None:
        operator = Operator(
            "x", texts=Texts(name_scopes=repr(["", scope, "op"]), class_hierarchy=repr(["m.M", "m.A", "op"]))
        )
        assert scopes(build_hierarchy([operator], None)) == [scope]

    def test_a_scope_may_repeat_with_another_class(self) -> None:
        operators = [Operator(path, texts=Texts(namespace=f": m.M/a: {path}/op: op")) for path in ("m.A", "m.B", "m.A")]
        hierarchy = build_hierarchy(operators, None)
        assert tags(hierarchy) == ["/M/A.a", "/M/B.a", "/M/A.a"]

    def test_operators_without_it_are_placed_by_name_or_in_the_root(self) -> None:
        operators = [
            Operator("x", texts=Texts(namespace=": m.M/encoder: m.E/op: op")),
            Operator("/encoder/dropout/Add"),
            Operator("Constant", texts=Texts(namespace="x/: unreadable")),
        ]
        hierarchy = build_hierarchy(operators, None)
        assert scopes(hierarchy) == ["encoder", "encoder.dropout", ""]
        assert hierarchy.rules == {"scope": 1, "name": 1, "root": 1}
        assert hierarchy.findings == (
            'operators that the source does not place, left in the root: 1, for example "Constant"',
        )


class TestNames:
    def test_of_the_names_of_fused_operators_the_first_tells_the_scope(self) -> None:
        fused = "model/conv/BiasAdd;model/conv/Conv2D;other/conv/BiasAdd"
        hierarchy = named(fused, "model/conv/Relu", "model/conv/Relu_1", "model/conv/Relu_2")
        assert [module.scope for module in hierarchy.modules] == ["model", "model.conv"]
        assert list(hierarchy.placement) == [1, 1, 1, 1]

    @pytest.mark.parametrize("name", TORCHSCRIPT)
    def test_names_lead_into_the_module_of_the_htp_metadata(self, name: str) -> None:
        hierarchy = build_hierarchy(without(sample(name).operators, "tag", "texts"), None)
        assert hierarchy.source == "names"
        pairs = zip(scopes(hierarchy), scopes(from_metadata(name)), strict=True)
        for in_name, in_metadata in pairs:
            assert in_metadata is not None
            assert in_name is None or not in_metadata or f"{in_name}.".startswith(f"{in_metadata}.")

    @pytest.mark.parametrize("name", TORCHSCRIPT)
    def test_names_know_every_module_that_holds_an_operator(self, name: str) -> None:
        hierarchy = build_hierarchy(without(sample(name).operators, "tag", "texts"), None)
        assert {scope for scope in scopes(from_metadata(name)) if scope} <= {m.scope for m in hierarchy.modules}

    def test_segments_are_modules(self) -> None:
        hierarchy = named("/encoder/layer.0/attention/MatMul")
        assert [(m.parent, m.class_name, m.name, m.scope, m.tag) for m in hierarchy.modules] == [
            (None, "", "encoder", "encoder", "/encoder"),
            (0, "", "0", "encoder.layer.0", "/encoder/layer.0"),
            (1, "", "attention", "encoder.layer.0.attention", "/encoder/layer.0/attention"),
        ]
        assert hierarchy.rules == {"name": 1}
        assert list(hierarchy.tags) == [None]

    @pytest.mark.parametrize(
        ("name", "scope"),
        [
            ("//a///b/Add", "a.b"),
            ("/layer1/layer1.0/conv1/Conv", "layer1.0.conv1"),
            ("/model.22/cv2.0/cv2.0.0/conv/Conv", "model.22.cv2.0.0.conv"),
            ("/0/0.1/Conv", "0.1"),
            ("/layer/layer.norm/Add", "layer.layer.norm"),
            ("/layer/layer10.0/Add", "layer.layer10.0"),
        ],
    )
    def test_names_tell_the_scope(self, name: str, scope: str) -> None:
        assert scopes(named(name)) == [scope]

    def test_operators_outside_all_modules_stand_in_the_model(self) -> None:
        hierarchy = named("/encoder/Add", "/Constant", "Identity_0", "")
        assert scopes(hierarchy) == ["encoder", None, None, None]
        assert hierarchy.rules == {"name": 2, "root": 2}
        assert hierarchy.coverage == 25.0

    def test_scopes_of_single_operators_are_no_modules(self) -> None:
        for pattern in ("node_MatMul_{}/MatMulAddFusion", "flatten_{}/Reshape", "StatefulPartitionedCall/op_{}"):
            assert named(*(pattern.format(number) for number in range(8))).modules == ()

    @pytest.mark.parametrize(
        "name",
        [
            "If_0_else_branch__Inline_0__/stft/Pow",
            "F0::If_0_then_branch__Inline_0__/stft/Pow",
            "/stft/Pow/MatMulAddFusion",
            "/stft/node_linear_1/Pow",
            "/stft/PartitionedCall/Pow",
        ],
    )
    def test_what_inlining_and_fusing_made_is_no_module(self, name: str) -> None:
        assert [module.scope for module in named(name, "/stft/Add").modules] == ["stft"]

    @pytest.mark.parametrize(
        "prefix", ["cond___", "model_lstm_while_cond_frozen_600_", "model_while_body_12_frozen_7_"]
    )
    def test_functions_of_tensorflow_s_loops_are_no_modules(self, prefix: str) -> None:
        names = [f"{given}model/lstm/while/{name}" for given in ("", prefix) for name in ("Less", "Add", "And")]
        assert [module.scope for module in named(*names).modules] == ["model", "model.lstm", "model.lstm.while"]

    def test_layers_of_one_operator_in_a_model_are_modules(self) -> None:
        """Of a converted TensorFlow Lite model: each layer is one operator with a weight, and what tf2onnx adds."""
        names = [f"model/dense_{number}/MatMul" for number in range(6)]
        weights = {f"weight_{number}": (4, 4) for number in range(6)}
        operators = [Operator(name, inputs=("x", weight)) for name, weight in zip(names, weights, strict=True)]
        hierarchy = package.build_hierarchy(Graph(operators, weights), None)
        assert scopes(hierarchy) == [f"model.dense_{number}" for number in range(6)]
        alone = [operator._replace(name=operator.name.removeprefix("model/")) for operator in operators]
        assert package.build_hierarchy(Graph(alone, weights), None).source == "none"

    def test_functions_of_several_operators_are_no_modules(self) -> None:
        names = [f"m/dense/{name}" for name in ("Tensordot/MatMul", "Tensordot/Reshape", "BiasAdd", "Tensordot_1/Add")]
        assert scopes(named(*names)) == ["m.dense"] * 4
        assert scopes(named("/m/batchnorm/Mul", "/m/batchnorm/Add")) == ["m.batchnorm"] * 2

    def test_a_name_may_go_deeper_than_the_tree(self) -> None:
        hierarchy = named("/m" * 150 + "/Add")
        assert len(hierarchy.modules) == 100
        assert list(hierarchy.placement) == [99]


class TestFlat:
    @pytest.mark.parametrize("names", [(), ("Add", "Mul", ""), ("/Add", "/Mul")])
    def test_a_model_that_tells_nothing_is_flat(self, names: tuple[str, ...]) -> None:
        hierarchy = named(*names)
        assert (hierarchy.source, hierarchy.modules, hierarchy.coverage) == ("none", (), 0.0)
        assert scopes(hierarchy) == [None] * len(names)
        assert sum(hierarchy.rules.values()) == len(names)


def test_operators_may_come_one_by_one() -> None:
    hierarchy = build_hierarchy((Operator(f"/encoder/Add_{number}") for number in range(3)), None)
    assert list(hierarchy.placement) == [0, 0, 0]
