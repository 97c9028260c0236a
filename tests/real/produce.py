"""Writes small models with a producer, beside what is true of them: ``python tests/real/produce.py PRODUCER FOLDER``.

It runs with the Python of the producer (PyTorch, transformers, mobius-onnx, …), in which this project need not be
installed; ``python -m tests.real.producers FOLDER`` then says where the operators stand. For each model it writes
``NAME.onnx`` and ``NAME.npz``: the values of each parameter by the name that the source gives it. All parameters are
random, so that a value tells which parameter a weight is.
"""

from __future__ import annotations

import argparse
import importlib
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

_SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48}
_TEXT = {**_SIZES, "vocab_size": 61, "max_position_embeddings": 40}


def transformers_models() -> dict[str, tuple[Any, dict[str, Any]]]:
    """Small models of Hugging Face's transformers with example inputs, by name."""
    import torch
    import transformers as hf

    torch.manual_seed(0)
    ids = torch.randint(0, 61, (2, 9))
    image = torch.randn(1, 3, 32, 32)
    t5 = hf.T5Config(vocab_size=61, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4)
    resnet = hf.ResNetConfig(embedding_size=16, hidden_sizes=[16, 32], depths=[2, 2], layer_type="bottleneck")
    llama = hf.LlamaConfig(**_TEXT, num_key_value_heads=2, use_cache=False)
    whisper = hf.WhisperConfig(
        d_model=32,
        encoder_layers=2,
        encoder_attention_heads=4,
        encoder_ffn_dim=48,
        num_mel_bins=16,
        decoder_layers=1,
        decoder_attention_heads=4,
        decoder_ffn_dim=48,
        max_source_positions=20,
    )
    return {
        "bert": (hf.BertModel(hf.BertConfig(**_TEXT)), {"input_ids": ids, "attention_mask": torch.ones_like(ids)}),
        "vit": (hf.ViTModel(hf.ViTConfig(**_SIZES, image_size=32, patch_size=8)), {"pixel_values": image}),
        "resnet": (hf.ResNetModel(resnet), {"pixel_values": image}),
        "t5-encoder": (hf.T5EncoderModel(t5), {"input_ids": ids}),
        "llama": (hf.LlamaForCausalLM(llama), {"input_ids": ids}),
        "whisper-encoder": (hf.WhisperModel(whisper).encoder, {"input_features": torch.randn(1, 16, 40)}),
    }


def filled(module: Any) -> Any:
    """The module in evaluation, with random values in everything that it learns or counts."""
    import torch

    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, value in [*module.named_parameters(), *module.named_buffers()]:
            if value.is_floating_point():
                value.copy_(torch.randn(value.shape, generator=generator) * 0.2)
                if name.endswith(("running_var", "norm.weight", "LayerNorm.weight")):
                    value.abs_().add_(0.5)
    return module.eval()


def truth_of(module: Any) -> dict[str, Any]:
    """The values of the parameters and buffers of a torch.nn.Module by their names."""
    return {name: value.detach().float().numpy() for name, value in module.state_dict(keep_vars=True).items()}


def torch_exporter(folder: Path, *, dynamo: bool) -> None:
    """``torch.onnx.export``, with either exporter."""
    import torch

    class Plain(torch.nn.Module):
        """Takes its inputs by place and returns one tensor, as the older exporter wants it."""

        def __init__(self, inner: torch.nn.Module, names: list[str]) -> None:
            super().__init__()
            self.inner, self.names = inner, names

        def forward(self, *inputs: torch.Tensor) -> torch.Tensor:
            return self.inner(**dict(zip(self.names, inputs, strict=True)), return_dict=False)[0]

    for name, (module, inputs) in transformers_models().items():
        given: dict[str, Any] = {"kwargs": inputs, "dynamo": True, "external_data": False}
        if not dynamo:
            module = Plain(module, list(inputs))
            given = {"dynamo": False, "opset_version": 17, "input_names": list(inputs)}
        path = folder / f"{name}.onnx"
        try:
            torch.onnx.export(filled(module), () if dynamo else tuple(inputs.values()), str(path), **given)
        except Exception as error:  # noqa: BLE001 - whatever a producer raises, the next model is tried
            print(f"{name}: {type(error).__name__}: {str(error)[:200]}", file=sys.stderr)
            continue
        np.savez(folder / f"{name}.npz", **truth_of(module))


def saved_models(folder: Path) -> dict[str, Path]:
    """The same models as folders that ``from_pretrained`` reads, with their truth."""
    found = {}
    for name, (module, _) in transformers_models().items():
        if not hasattr(module, "save_pretrained") or name == "whisper-encoder":
            continue
        filled(module).save_pretrained(folder / f"{name}-source")
        np.savez(folder / f"{name}.npz", **truth_of(module))
        found[name] = folder / f"{name}-source"
    return found


def mobius(folder: Path) -> None:
    """mobius-onnx, which builds models with onnxscript.nn.

    But for Llama its modules have other names than those of transformers: what is true is what it calls its parameters.
    """
    import onnx

    for name, source in saved_models(folder).items():
        built = folder / f"{name}-built"
        subprocess.run([sys.executable, "-m", "mobius", "build", "--config", str(source), str(built)], check=False)
        for path in built.rglob("*.onnx"):
            _inline(path, folder / f"{name}.onnx")
            if name != "llama":
                initializers = onnx.load(folder / f"{name}.onnx").graph.initializer
                truth = {value.name: onnx.numpy_helper.to_array(value) for value in initializers if "." in value.name}
                np.savez(folder / f"{name}.npz", **truth)


def winml(folder: Path) -> None:
    """winml-cli's export, with its metadata beside the model; it takes models of the hub alone, so of its cache."""
    environment = {**os.environ, "HF_HUB_CACHE": str(folder / "hub"), "HF_HUB_OFFLINE": "1"}
    for name, source in saved_models(folder).items():
        cached = folder / "hub" / f"models--local--{name}"
        shutil.copytree(source, cached / "snapshots" / "0", dirs_exist_ok=True)
        (cached / "refs").mkdir(exist_ok=True)
        (cached / "refs" / "main").write_text("0")
        for suffix, options in (("", []), ("-dynamo", ["--dynamo"])):
            built = folder / f"{name}{suffix}.onnx"
            command = [
                "export",
                "-m",
                f"local/{name}",
                "-o",
                str(built),
                *options,
                *(["-t", "feature-extraction"] if "t5" in name else []),
            ]
            subprocess.run([Path(sys.executable).with_name("winml"), *command], check=False, env=environment)
            if built.exists():
                np.savez(folder / f"{name}{suffix}.npz", **np.load(folder / f"{name}.npz"))


def optimum(folder: Path) -> None:
    """optimum-onnx, with and without onnxruntime's optimisation."""
    for name, source in saved_models(folder).items():
        task = "text-generation" if name == "llama" else "feature-extraction"
        for suffix, options in (("", []), ("-O2", ["--optimize", "O2"])):
            built = folder / f"{name}{suffix}-built"
            command = ["-m", "optimum.exporters.onnx", "--model", str(source), "--task", task, *options, str(built)]
            if subprocess.run([sys.executable, *command], check=False).returncode == 0:
                for path in built.glob("*.onnx"):
                    _inline(path, folder / f"{name}{suffix}.onnx")
                np.savez(folder / f"{name}{suffix}.npz", **np.load(folder / f"{name}.npz"))


def tf2onnx(folder: Path) -> None:
    """Keras models by tf2onnx."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    image = keras.Input((32, 32, 3), name="image")
    hidden = image
    for number in range(3):
        hidden = keras.layers.Conv2D(8 << number, 3, padding="same", name=f"block{number}_conv")(hidden)
        hidden = keras.layers.BatchNormalization(name=f"block{number}_norm")(hidden)
        hidden = keras.layers.MaxPooling2D(name=f"block{number}_pool")(keras.layers.Activation("relu")(hidden))
    hidden = keras.layers.Dense(5, name="head")(keras.layers.Flatten()(hidden))
    cnn = keras.Model(image, hidden)
    tokens = keras.Input((9,), dtype="int32", name="tokens")
    hidden = keras.layers.Embedding(61, 32, name="embedding")(tokens)
    for number in range(2):
        attention = keras.layers.MultiHeadAttention(4, 8, name=f"attention_{number}")(hidden, hidden)
        hidden = keras.layers.LayerNormalization(name=f"norm_{number}")(hidden + attention)
        hidden = keras.layers.Dense(32, activation="relu", name=f"dense_{number}")(hidden)
    transformer = keras.Model(tokens, hidden)
    converter = importlib.import_module("tf2onnx")
    for name, model in {"cnn": cnn, "transformer": transformer}.items():
        generator = np.random.default_rng(1)
        for weight in model.weights:
            weight.assign(np.abs(generator.normal(size=weight.shape).astype("float32")) * 0.2 + 0.1)
        signature = [tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype, tensor.name) for tensor in model.inputs]
        function = tf.function(lambda *given, model=model: model(*given), input_signature=signature)
        converter.convert.from_function(function, signature, opset=17, output_path=str(folder / f"{name}.onnx"))
        truth = {weight.path.replace("/", "_1."): np.asarray(weight) for weight in model.weights}  # Keras counts calls
        np.savez(folder / f"{name}.npz", **truth)


def quantised(folder: Path, source: Path) -> None:
    """Whatever lies in another folder, through the quantisers and the optimiser of onnxruntime."""
    import onnx
    from onnxruntime import quantization
    from onnxruntime.quantization.shape_inference import quant_pre_process

    for path in sorted(source.glob("*.onnx")):
        truth = dict(np.load(path.with_suffix(".npz")))
        prepared = folder / f"{path.stem}-prepared.onnx"
        quant_pre_process(str(path), str(prepared), skip_symbolic_shape=True)
        made = {kind: folder / f"{path.stem}-{kind}.onnx" for kind in ("dynamic-int8", "qdq", "qoperator", "int4")}
        quantization.quantize_dynamic(str(path), str(made["dynamic-int8"]))
        for kind, form in (("qdq", quantization.QuantFormat.QDQ), ("qoperator", quantization.QuantFormat.QOperator)):
            data = _Data(onnx.load(prepared, load_external_data=False))
            quantization.quantize_static(str(prepared), str(made[kind]), data, quant_format=form, per_channel=False)
        quantiser = importlib.import_module("onnxruntime.quantization.matmul_nbits_quantizer")
        four = quantiser.MatMulNBitsQuantizer(onnx.load(path), block_size=16)
        four.process()
        onnx.save(four.model.model, made["int4"])
        prepared.unlink()
        for file in made.values():
            np.savez(file.with_suffix(".npz"), **truth)


class _Data:
    """Three random inputs, as onnxruntime's calibration asks for them."""

    def __init__(self, model: Any) -> None:
        generator = np.random.default_rng(0)
        self._left = [
            {
                value.name: (
                    generator.integers(0, 61, shape)
                    if value.type.tensor_type.elem_type in (6, 7)
                    else generator.normal(size=shape).astype("float32")
                )
                for value in model.graph.input
                for shape in [[dim.dim_value or 2 for dim in value.type.tensor_type.shape.dim]]
            }
            for _ in range(3)
        ]

    def get_next(self) -> dict[str, Any] | None:
        return self._left.pop() if self._left else None


def slimmed(folder: Path, source: Path) -> None:
    """Whatever lies in another folder, through onnxruntime's optimiser, onnxslim and onnxsim, if they are here."""
    import onnxruntime as ort

    for path in sorted(source.glob("*.onnx")):
        made = {kind: folder / f"{path.stem}-{kind}.onnx" for kind in ("ort", "slim", "sim")}
        options = ort.SessionOptions()
        options.optimized_model_filepath = str(made["ort"])
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
        ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        for command, kind in (("onnxslim", "slim"), ("onnxsim", "sim")):
            subprocess.run([Path(sys.executable).with_name(command), path, made[kind]], check=False)
        for file in made.values():
            if file.exists():
                np.savez(file.with_suffix(".npz"), **np.load(path.with_suffix(".npz")))


def _inline(path: Path, target: Path) -> None:
    import onnx

    onnx.save(onnx.load(path), target)


def main() -> None:
    """Runs one producer."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("producer", choices=["dynamo", "torchscript", *_PRODUCERS, *_TOOLS])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--source", type=Path, help="a folder with models, for tools that change models")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    if arguments.producer in ("dynamo", "torchscript"):
        torch_exporter(arguments.folder, dynamo=arguments.producer == "dynamo")
    elif arguments.producer in _TOOLS:
        _TOOLS[arguments.producer](arguments.folder, arguments.source)
    else:
        _PRODUCERS[arguments.producer](arguments.folder)


_PRODUCERS = {"mobius": mobius, "winml": winml, "optimum": optimum, "tf2onnx": tf2onnx}
_TOOLS = {"quantised": quantised, "slimmed": slimmed}

if __name__ == "__main__":
    main()
