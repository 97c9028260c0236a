"""Parts of models that generate: exported one by one, and run one after another by onnxruntime as by PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

import graphml_onnx
from graphml_onnx.hierarchy import read_metadata

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")
pytest.importorskip("transformers")

from tests.export.architectures import ARCHITECTURES  # noqa: E402

EXPORTERS: tuple[Any, ...] = (pytest.param("dynamo", marks=pytest.mark.slow), "torchscript")
DECODERS = [
    "llama",
    *(
        pytest.param(name, marks=pytest.mark.slow)
        for name in ("gpt2", "opt", "qwen3", "mistral", "bloom", "phi3", "gemma3", "gpt-neox", "falcon", "mixtral")
    ),
]
PAIRS = ["t5", *(pytest.param(name, marks=pytest.mark.slow) for name in ("bart", "whisper"))]


class Parts:
    """The parts of a model as sessions of onnxruntime."""

    def __init__(self, name: str, exporter: Any, folder: Path) -> None:
        self.module = ARCHITECTURES[name].build()[0].eval()
        self.exporter = exporter
        self.folder = folder

    def run(self, part: str, feed: dict[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
        path = self.folder / f"{part}.onnx"
        if not path.exists():
            graphml_onnx.export(self.module, path, part=part, exporter=self.exporter, with_graphml=True)  # type: ignore[arg-type]
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        names = [value.name for value in session.get_outputs()]
        made = session.run(names, {value.name: feed[value.name] for value in session.get_inputs()})
        return dict(zip(names, made, strict=True))

    def tree(self, part: str) -> list[str]:
        path = self.folder / f"{part}_htp_metadata.json"
        return [module.scope for module in read_metadata(path.read_bytes(), None).modules]


@pytest.fixture(params=EXPORTERS)
def exporter(request: pytest.FixtureRequest) -> Any:
    return request.param


def past(made: dict[str, Any]) -> dict[str, Any]:
    """What a run takes of the one before."""
    return {name.replace("present", "past_key_values"): value for name, value in made.items() if "present" in name}


def ones(*shape: int) -> np.ndarray[Any, Any]:
    return np.ones(shape, np.int64)


@pytest.mark.parametrize("name", DECODERS)
def test_a_decoder_goes_on_where_it_was(name: str, exporter: Any, tmp_path: Path) -> None:
    """Other numbers of tokens, and of texts, than those of the example."""
    parts = Parts(name, exporter, tmp_path)
    tokens = torch.randint(3, 90, (3, 12), generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        expected = parts.module(input_ids=tokens, attention_mask=torch.ones_like(tokens)).logits.numpy()
    ids, positions = tokens.numpy(), np.tile(np.arange(12), (3, 1))

    first = parts.run(
        "decoder", {"input_ids": ids[:, :7], "attention_mask": ones(3, 7), "position_ids": positions[:, :7]}
    )
    np.testing.assert_allclose(first["logits"], expected[:, :7], rtol=1e-3, atol=1e-4)
    given, length = past(first), 7
    for size in (4, 1):
        end = length + size
        feed = {
            "input_ids": ids[:, length:end],
            "attention_mask": ones(3, end),
            "position_ids": positions[:, length:end],
        }
        made = parts.run("decoder-with-past", feed | given)
        np.testing.assert_allclose(made["logits"], expected[:, length:end], rtol=1e-3, atol=1e-4)
        given, length = past(made), end
    assert given.keys() == past(first).keys()
    assert parts.tree("decoder") == parts.tree("decoder-with-past")
    assert "forward" not in vars(parts.module)


@pytest.mark.parametrize("name", PAIRS)
def test_a_decoder_goes_by_what_the_encoder_gave(name: str, exporter: Any, tmp_path: Path) -> None:
    parts = Parts(name, exporter, tmp_path)
    tokens = torch.randint(3, 90, (3, 8), generator=torch.Generator().manual_seed(5))
    given: dict[str, Any] = (
        {"input_features": torch.randn(3, 8, 60)}
        if name == "whisper"
        else {"input_ids": torch.randint(3, 90, (3, 10)), "attention_mask": torch.ones(3, 10, dtype=torch.int64)}
    )
    with torch.no_grad():
        expected = parts.module(**given, decoder_input_ids=tokens).logits.numpy()

    hidden = parts.run("encoder", {key: value.numpy() for key, value in given.items()})["last_hidden_state"]
    feed = {"encoder_hidden_states": hidden, "encoder_attention_mask": ones(*hidden.shape[:2])}
    first = parts.run("decoder", feed | {"input_ids": tokens[:, :5].numpy()})
    np.testing.assert_allclose(first["logits"], expected[:, :5], rtol=1e-3, atol=1e-4)
    kept, length = past(first), 5
    for size in (2, 1):
        end = length + size
        made = parts.run("decoder-with-past", feed | kept | {"input_ids": tokens[:, length:end].numpy()})
        np.testing.assert_allclose(made["logits"], expected[:, length:end], rtol=1e-3, atol=1e-4)
        kept, length = kept | past(made), end
    assert not [scope for scope in parts.tree("decoder") if "encoder" in scope.split(".")]


def test_the_names_and_dimensions_are_those_of_optimum(tmp_path: Path) -> None:
    module, _ = ARCHITECTURES["llama"].build()
    result = graphml_onnx.export(module, tmp_path / "model.onnx", part="decoder-with-past")

    graph = onnx.load(result.onnx).graph
    told = {
        value.name: [size.dim_param or size.dim_value for size in value.type.tensor_type.shape.dim]
        for value in (*graph.input, *graph.output)
    }
    whole = "past_sequence_length + sequence_length"
    keys = {
        f"past_key_values.{n}.{kind}": ["batch_size", 2, "past_sequence_length", 8]
        for n in (0, 1)
        for kind in ("key", "value")
    }
    present = {f"present.{n}.{kind}": ["batch_size", 2, whole, 8] for n in (0, 1) for kind in ("key", "value")}
    assert told == {
        "input_ids": ["batch_size", "sequence_length"],
        "attention_mask": ["batch_size", whole],
        "position_ids": ["batch_size", "sequence_length"],
        **keys,
        "logits": ["batch_size", "sequence_length", 99],
        **present,
    }
    assert result.findings == ()


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("bert", {"part": "decoder-with-past"}, "gives no keys and values"),
        ("llama", {"part": "encoder"}, "no encoder of its own"),
        ("llama", {"part": "decoder", "shapes": {"input_ids": (2, 3)}}, "follow from the model"),
        ("mamba", {"part": "decoder-with-past"}, "keeps other things"),
    ],
)
def test_what_has_no_such_part_is_told(name: str, options: dict[str, Any], told: str, tmp_path: Path) -> None:
    module, _ = ARCHITECTURES[name].build()

    with pytest.raises(graphml_onnx.GraphmlOnnxError, match=told) as caught:
        graphml_onnx.export(module, tmp_path / "model.onnx", **options)

    assert caught.value.remedy
    assert "forward" not in vars(module)
    assert not [*tmp_path.iterdir()]


def test_a_task_with_past_asks_for_it_and_names_the_parts_of_a_pair(tmp_path: Path) -> None:
    for name in ("llama", "t5"):
        ARCHITECTURES[name].build()[0].save_pretrained(tmp_path / name)
    task = "text-generation-with-past"
    result = graphml_onnx.export(str(tmp_path / "llama"), tmp_path / "llama.onnx", task=task)
    names = [value.name for value in onnx.load(result.onnx).graph.output]
    assert names[:2] == ["logits", "present.0.key"]

    with pytest.raises(graphml_onnx.UsageError, match="encoder, decoder, decoder-with-past"):
        graphml_onnx.export(str(tmp_path / "t5"), tmp_path / "t5.onnx", task="text2text-generation-with-past")
