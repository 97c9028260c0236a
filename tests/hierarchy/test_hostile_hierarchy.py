"""Whatever operators and metadata hold: each operator has a valid place, and only MetadataError is raised."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from graphml_onnx import hierarchy as package
from graphml_onnx.errors import MetadataError
from graphml_onnx.hierarchy import Graph, Hierarchy, HtpMetadata, Operator, Texts, read_metadata
from tests.hierarchy.htp_samples import NAMES, build_hierarchy, module, sample

PARTS = st.sampled_from(["", "A", "B.0", "0", "1", "a", "a.0", "a.b", "A.a", ".", "é", "\n", "\ud800", "it's"])
PATHS = st.builds(lambda separator, parts: separator.join(parts), st.sampled_from("/."), st.lists(PARTS, max_size=6))
TEXTS = PATHS | st.text(st.characters(), max_size=8)
LISTS = st.lists(PATHS, max_size=5).map(repr) | TEXTS
TEXT_LISTS = st.none() | LISTS
NAMESPACES = (
    st.none() | TEXTS | st.lists(PATHS, max_size=4).map(lambda steps: "/".join(f"{step}: {step}" for step in steps))
)
VALUES = st.lists(st.sampled_from(["", "x", "y", "a.weight", "A.a.bias"]), max_size=3).map(tuple)


def operators_with(bodies: st.SearchStrategy[tuple[Graph, ...]], most: int) -> st.SearchStrategy[list[Operator]]:
    return st.lists(
        st.builds(
            Operator,
            name=TEXTS,
            tag=st.none() | TEXTS,
            texts=st.none() | st.builds(Texts, TEXT_LISTS, TEXT_LISTS, NAMESPACES, TEXT_LISTS, TEXT_LISTS),
            op_type=st.sampled_from(["", "MatMul", "Constant"]),
            inputs=VALUES,
            outputs=VALUES,
            bodies=bodies,
        ),
        max_size=most,
    )


BODIES = st.builds(
    Graph,
    operators=operators_with(st.just(()), 2),
    weights=st.dictionaries(st.sampled_from(["x", "a.weight", "A.a.bias"]), st.just((2, 2)), max_size=2),
)
OPERATORS = operators_with(st.just(()) | BODIES.map(lambda body: (body,)), 8)


def module_of(children: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {},
        optional={
            "class_name": TEXTS,
            "traced_tag": TEXTS,
            "scope": TEXTS,
            "execution_order": st.none() | st.integers(),
            "source": st.none() | TEXTS,
            "children": st.dictionaries(TEXTS, children, max_size=4),
        },
    )


MODULES = st.recursive(module_of(st.nothing()), module_of, max_leaves=12)
FLAT_MODULES = st.dictionaries(TEXTS, module_of(st.nothing()), max_size=8)
GOOD_METADATA = st.fixed_dictionaries({"modules": MODULES | FLAT_MODULES, "nodes": st.dictionaries(TEXTS, TEXTS)})

KEYS = st.sampled_from(["modules", "nodes", "model", "class_name", "traced_tag", "scope", "children", "source"]) | TEXTS
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=20,
)
ANY_METADATA = st.fixed_dictionaries({}, optional={"modules": ANY_JSON, "nodes": ANY_JSON, "model": ANY_JSON})


def is_sound(hierarchy: Hierarchy, operators: list[Operator]) -> bool:
    modules = hierarchy.modules
    levels: list[int] = []
    for index, each in enumerate(modules):
        assert each.parent is None or 0 <= each.parent < index
        assert each.tag
        levels.append(1 if each.parent is None else levels[each.parent] + 1)
    assert max(levels, default=0) <= 100
    assert len(hierarchy.placement) == len(hierarchy.tags) == len(operators)
    in_bodies = sum(len(body.operators) for operator in operators for body in operator.bodies)
    assert sum(hierarchy.rules.values()) == len(operators) + in_bodies
    assert all(-1 <= index < len(modules) for index in hierarchy.placement)
    assert all(-1 <= hierarchy.owner(operator.name) < len(modules) for operator in operators)
    assert 0.0 <= hierarchy.coverage <= 100.0
    assert all(finding.isprintable() for finding in hierarchy.findings)
    return True


def read(value: object) -> HtpMetadata:
    return read_metadata(json.dumps(value).encode(), None)


@given(OPERATORS)
def test_any_operators_without_metadata_have_a_place(operators: list[Operator]) -> None:
    hierarchy = build_hierarchy(operators, None)
    assert is_sound(hierarchy, operators)
    assert hierarchy == build_hierarchy(operators, None)


@given(st.lists(TEXTS))
def test_scopes_from_any_tags_are_unique(given_tags: list[str]) -> None:
    hierarchy = build_hierarchy([Operator("", tag=tag) for tag in given_tags], None)
    assert len({m.scope for m in hierarchy.modules}) == len(hierarchy.modules)


@given(OPERATORS, GOOD_METADATA)
def test_any_operators_and_any_tree_have_a_place(operators: list[Operator], sections: dict[str, Any]) -> None:
    try:
        given_metadata = read(sections)
    except MetadataError:
        return
    assert is_sound(build_hierarchy(operators, given_metadata), operators)


@given(OPERATORS, st.data())
def test_a_tag_that_a_module_has_leads_to_such_a_module(operators: list[Operator], data: st.DataObject) -> None:
    tree = read({"modules": data.draw(MODULES) | {"class_name": "Root"}, "nodes": {}}).modules
    tags = [each.tag for each in tree]
    nodes = {operator.name: data.draw(st.sampled_from(tags)) for operator in operators}
    root = {"class_name": "Root", "traced_tag": tags[0], "scope": "", "children": {}}
    flat_children = {str(n): {"traced_tag": m.tag, "scope": m.scope} for n, m in enumerate(tree[1:])}
    metadata = read({"modules": root | {"children": flat_children}, "nodes": nodes})
    exact = build_hierarchy(operators, metadata, refine=False)
    refined = build_hierarchy(operators, metadata)
    for operator, index, lower in zip(operators, exact.placement, refined.placement, strict=True):
        if operator.name:
            assert exact.modules[index].tag == nodes[operator.name]
            assert nodes[operator.name] in tags_around(refined, lower)


def tags_around(hierarchy: Hierarchy, index: int | None) -> list[str]:
    """The tags of a module and of those around it."""
    tags = []
    while index is not None:
        tags.append(hierarchy.modules[index].tag)
        index = hierarchy.modules[index].parent
    return tags


@given(ANY_METADATA | ANY_JSON)
@example({"modules": {"scope": "", "execution_order": 10**4000}, "nodes": {}})
def test_any_json_is_read_or_refused(value: object) -> None:
    message = ""
    try:
        given_metadata = read(value)
    except MetadataError as error:
        message = str(error)
    else:
        assert is_sound(build_hierarchy([], given_metadata), [])
    assert message.isprintable()


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(MetadataError):
        read_metadata(data, None)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_cut_off_anywhere_is_refused(name: str) -> None:
    data = sample(name).metadata.text.rstrip().encode()
    for length in range(0, len(data), 97):
        with pytest.raises(MetadataError):
            read_metadata(data[:length], None)


LONG = 300_000
HUGE = [
    Operator("/" * LONG),
    Operator("/a" * LONG),
    Operator("a." * LONG + "/b"),
    Operator("", tag="/A" * LONG),
    Operator("", tag="A" * LONG),
    Operator("", texts=Texts(name_scopes="[" + "'a'," * LONG, class_hierarchy="[]")),
    Operator("", texts=Texts(name_scopes="['" + "\\" * LONG, class_hierarchy="[]")),
    Operator("", texts=Texts(name_scopes="['a'" + " " * LONG, class_hierarchy="[]")),
    Operator("", texts=Texts(name_scopes=repr(["a" * n for n in range(500)]), class_hierarchy=repr(["A"] * 500))),
    Operator("", texts=Texts(namespace="a: A/" * LONG + "a: A")),
]


@pytest.mark.parametrize("operator", HUGE)
@pytest.mark.parametrize("metadata", [None, read({"modules": module("/A", "", module("/A/A", "a")), "nodes": {}})])
def test_huge_paths_are_read_in_linear_time(operator: Operator, metadata: HtpMetadata | None) -> None:
    """Quadratic work would run for hours here."""
    assert is_sound(build_hierarchy([operator], metadata), [operator])


@pytest.mark.slow
def test_paths_that_grow_without_bound_are_refused() -> None:
    children = {f"A.{index}": {} for index in range(20_000)}
    root = {"class_name": "Root", "children": {"x" * 10_000: {"children": children}}}
    with pytest.raises(MetadataError, match="characters together"):
        build_hierarchy([Operator("a")], read_metadata(json.dumps({"modules": root, "nodes": {}}).encode(), None))


@pytest.mark.parametrize("layers", [909, pytest.param(9_091, marks=pytest.mark.slow)])
def test_ten_operators_for_each_of_many_modules(layers: int) -> None:
    operators = 110 * layers
    children = [
        module(f"/M/Layer.{n}", f"layer.{n}", *(module(f"/M/Layer.{n}/Linear", f"layer.{n}.l{k}") for k in range(10)))
        for n in range(layers)
    ]
    names = [f"/layer.{n % layers}/l{n % 10}/MatMul_{n}" for n in range(operators)]
    nodes = {name: f"/M/Layer.{n % layers}/Linear" for n, name in enumerate(names)}
    hierarchy = build_hierarchy(map(Operator, names), read({"modules": module("/M", "", *children), "nodes": nodes}))
    assert len(hierarchy.modules) == 1 + 11 * layers
    assert hierarchy.rules == {"tag and name": operators}
    for n in range(0, operators, 997):
        assert hierarchy.modules[hierarchy.placement[n]].scope == f"layer.{n % layers}.l{n % 10}"


def test_operators_that_share_all_weights_are_placed_in_linear_time() -> None:
    weights = {f"layer.{number}.weight": (4, 4) for number in range(20_000)}
    operators = [
        Operator(f"c{number}", op_type="Concat", inputs=tuple(weights), outputs=(f"y{number}",)) for number in range(4)
    ]
    operators += [
        Operator(f"a{number}", op_type="Add", inputs=("x", "shared.bias"), outputs=(f"z{number}",))
        for number in range(20_000)
    ]
    hierarchy = package.build_hierarchy(Graph(operators, {**weights, "shared.bias": (4,)}), None)
    assert {hierarchy.modules[place].scope for place in hierarchy.placement[4:]} == {"shared"}


@pytest.mark.parametrize(
    ("name", "scope"),
    [
        ("ключ.вес.weight", "ключ.вес"),
        ("層.0.重み.weight", "層.0.重み"),
        ("𝔘.weight", "𝔘"),
        ("e\u0301.ffi\ufb03.weight", None),
        ("\u202eevil.weight", None),
        ("a.\ud800.bias", None),
    ],
)
def test_parameters_with_names_of_any_script(name: str, scope: str | None) -> None:
    names = ["one.weight", name, "two.weight"]
    operators = [
        Operator("", op_type="MatMul", inputs=(f"t{number}", weight), outputs=(f"t{number + 1}",))
        for number, weight in enumerate(names)
    ]
    hierarchy = package.build_hierarchy(Graph(operators, dict.fromkeys(names, (4, 4))), None)
    assert is_sound(hierarchy, operators)
    place = hierarchy.placement[1]
    assert (None if place < 0 else hierarchy.modules[place].scope) == scope


def test_names_that_look_like_scopes_and_are_not() -> None:
    """URLs, paths of files, dates and regular expressions as names make no tree deeper than it may be."""
    names = ["https://a.b/c", "C:\\x\\y", "2026/11/27", "///", "/./../.", "a//b", "." * 300, "/".join("x" * 300)]
    names.append("^(a|b)/$")
    operators = [
        Operator(name, op_type="Relu", inputs=(f"t{number}",), outputs=(f"t{number + 1}",))
        for number, name in enumerate(names)
    ]
    assert is_sound(package.build_hierarchy(Graph(operators, {}), None), operators)


def test_metadata_that_place_everything_in_one_module_of_a_hundred_thousand() -> None:
    children = {f"L.{number}": module(f"/M/L.{number}", f"l.{number}") for number in range(100_000)}
    told = read({"modules": {**module("/M", ""), "children": children}, "nodes": {"n0": "/M/L.99999"}})
    operators = [Operator("n0", op_type="MatMul", inputs=("x", "l.5.weight"), outputs=("y",))]
    hierarchy = package.build_hierarchy(Graph(operators, {"l.5.weight": (2, 2)}), told)
    assert hierarchy.modules[hierarchy.placement[0]].scope == "l.99999"
