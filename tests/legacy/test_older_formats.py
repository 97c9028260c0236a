"""GraphML of the formats 1.1 to 1.3: recognised, read where it says enough, and told what it lacks."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from graphml_onnx import GraphMLError, decode, validate

FIXTURES = Path(__file__).parents[2] / "fixtures" / "legacy"
CHAIN = (FIXTURES / "chain_1_3.graphml").read_text("utf-8")
WEIGHTS = FIXTURES / "weights_1_1.graphml"


def saved(folder: Path, text: str) -> Path:
    graph = folder / "older.graphml"
    graph.write_text(text, "utf-8")
    return graph


def test_a_file_that_says_enough_gives_a_model(tmp_path: Path) -> None:
    result = decode(saved(tmp_path, CHAIN))
    model = onnx.load(result.onnx)

    onnx.checker.check_model(model, full_check=True)
    assert [(node.op_type, node.name) for node in model.graph.node] == [
        ("LeakyRelu", "/head/LeakyRelu"),
        ("Softmax", "/head/Softmax"),
    ]
    x = np.array([[-1.0, 0.0, 1.0, 2.0]], np.float32)
    (y,) = ReferenceEvaluator(model).run(None, {"x": x})
    expected = np.exp(np.where(x < 0, np.float32(0.1) * x, x))
    assert np.allclose(y, expected / expected.sum())
    assert not result.exact
    assert any("ir_version" in finding for finding in result.findings)
    assert all("format 1.3" in finding for finding in result.findings)


def test_validation_lists_what_it_lacks(tmp_path: Path) -> None:
    found = validate(saved(tmp_path, CHAIN))
    assert {finding.code for finding in found} == {"older-format", "older-lacks"}
    assert {finding.severity for finding in found} == {"warning"}


def test_a_file_with_weights_names_all_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(GraphMLError) as caught:
        decode(WEIGHTS, tmp_path / "model.onnx")
    message = caught.value.message

    assert message.startswith("is of format 1.1, and does not say what a model needs: ")
    assert '1 of the inputs of "MatMul" in line' in message
    assert 'the order of the inputs of "Mul" in line' in message
    assert "weights" in message
    assert caught.value.remedy
    assert not (tmp_path / "model.onnx").exists()
    codes = {finding.code: finding for finding in validate(WEIGHTS)}
    assert codes.keys() == {"older-format", "not-decodable"}
    assert message in codes["not-decodable"].message


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(lambda t: t.replace('"version":17', '"version":"new"'), "versions in", id="versions"),
        pytest.param(lambda t: re.sub(r'.*<data key="m1">.*\n', "", t), "opset_imports", id="no operator sets"),
        pytest.param(lambda t: t.replace(">FLOAT<", ">float<"), None, id="types in small letters"),
        pytest.param(lambda t: t.replace(">FLOAT<", ">tensor<"), "type of the input in line", id="types"),
        pytest.param(lambda t: t.replace('["batch", 4]', "batch"), "type of the input in line", id="shapes"),
        pytest.param(lambda t: t.replace('{"axis": -1}', "{axis}"), "readable attributes of", id="attributes"),
        pytest.param(lambda t: t.replace('{"axis": -1}', '{"axis": {}}'), "readable attributes of", id="an attribute"),
        pytest.param(lambda t: t.replace('<data key="d5">h</data>', ""), "tensor_name of the edge", id="tensor names"),
        pytest.param(lambda t: t.replace('target="output_y"', 'target="relu"'), "outputs of the graph", id="outputs"),
        pytest.param(lambda t: t.replace('"output_y"', '"input_x"'), "an id of its own", id="ids"),
        pytest.param(lambda t: t.replace("LeakyRelu</data>", "Add</data>", 1), "1 of the inputs of", id="inputs"),
        pytest.param(lambda t: re.sub(r'.*<data key="n0">.*\n', "", t), "operators", id="operators"),
    ],
)  # fmt: skip
def test_what_is_missing_is_named(tmp_path: Path, change: object, told: str | None) -> None:
    graph = saved(tmp_path, change(CHAIN))  # type: ignore[operator]
    if told is None:
        decode(graph)
        return
    with pytest.raises(GraphMLError, match=re.escape(told)):
        decode(graph)
    assert "not-decodable" in {finding.code for finding in validate(graph)}


def test_operators_come_after_what_they_consume(tmp_path: Path) -> None:
    nodes = re.findall(r" {8}<node .*?</node>\n", CHAIN, re.DOTALL)
    turned = CHAIN.replace("".join(nodes), "".join(reversed(nodes)))
    assert turned != CHAIN
    model = onnx.load(decode(saved(tmp_path, turned)).onnx)
    assert [node.op_type for node in model.graph.node] == ["LeakyRelu", "Softmax"]


def test_operators_in_a_circle_have_no_order(tmp_path: Path) -> None:
    circle = CHAIN.replace('source="input_x" target="relu"', 'source="softmax" target="relu"')
    with pytest.raises(GraphMLError, match="circle"):
        decode(saved(tmp_path, circle))


@pytest.mark.parametrize("version", ["1.1", "1.2", "1.3", "1.3.1"])
def test_versions_are_named(tmp_path: Path, version: str) -> None:
    (first, *_) = validate(saved(tmp_path, CHAIN.replace(">1.3<", f">{version}<")))
    assert first.message == f"is of format {version}"


def test_a_file_without_a_version_is_recognised_by_its_keys(tmp_path: Path) -> None:
    (first, *_) = validate(saved(tmp_path, re.sub(r'.*<data key="m0">.*\n', "", CHAIN)))
    assert (first.code, first.message) == ("older-format", "is of an earlier format (1.1 to 1.3)")


def test_other_graphml_is_not_taken_for_it(tmp_path: Path) -> None:
    foreign = re.sub(r'attr\.name="(?!op_type|name)\w+"', 'attr.name="weight"', CHAIN)
    assert {finding.code for finding in validate(saved(tmp_path, foreign))} == {"foreign"}


def test_a_file_that_is_cut_off_is_an_error(tmp_path: Path) -> None:
    for length in range(0, len(CHAIN) - 12, 97):
        with pytest.raises(GraphMLError):
            decode(saved(tmp_path, CHAIN[:length]))
        assert any(finding.severity == "error" for finding in validate(tmp_path / "older.graphml"))
