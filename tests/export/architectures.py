"""The table of architectures: tiny models with random weights, and what their exports must reach."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, Final

import torch
from torch import Tensor, nn

from graphml_onnx.exporting.record import ExporterName
from tests.export import networks

Built = tuple[nn.Module, Mapping[str, Tensor] | None]


@dataclass(frozen=True, slots=True)
class Architecture:
    """One row.

    Attributes:
        build: makes the model, and its example inputs; None where they follow from its config.
        exact: for each exporter that can export it, the least percentage of its operators in the very module that ran
            them, as it was measured with torch 2.13.
        refusals: for an exporter that cannot, a part of its error.
        fast: whether it is in the fast run.
        package: one that is not among those for tests; without it the architecture is left out.
    """

    build: Callable[[], Built]
    exact: Mapping[ExporterName, float] = field(default_factory=lambda: {"dynamo": 100, "torchscript": 100})
    refusals: Mapping[ExporterName, str] = field(default_factory=dict)
    fast: bool = False
    package: str | None = None


_SIZES: Final = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 40}
_TEXT: Final = _SIZES | {"vocab_size": 99, "max_position_embeddings": 40}
_DECODER: Final = _TEXT | {"num_key_value_heads": 2, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_IMAGE: Final = {"image_size": 32, "num_channels": 3}
_PATCHES: Final = _SIZES | _IMAGE | {"patch_size": 8}
_TWO_SIDES: Final = {
    "d_model": 32,
    "vocab_size": 99,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "encoder_layers": 2,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 40,
    "decoder_layers": 2,
    "decoder_attention_heads": 4,
    "decoder_ffn_dim": 40,
}


def _with_weights(module: nn.Module) -> nn.Module:
    """Gives all weights values of their own, as training does: exporters keep only one of those that are equal."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
        for name, buffer in module.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                buffer.add_(0.02 * torch.rand_like(buffer))
    return module


def _pretrained(kind: str, config: str, /, **members: object) -> Callable[[], Built]:
    """A model of transformers, by the names of its class and of that of its config."""

    def build() -> Built:
        declare_torchvision_operators()  # transformers imports it where it is there
        import transformers  # takes seconds, and the networks do without

        torch.manual_seed(0)
        return _with_weights(getattr(transformers, kind)(getattr(transformers, config)(**members))), None

    return build


def _image_model(name: str, /, size: int = 64, **members: object) -> Callable[[], Built]:
    """A model of timm by its name."""

    def build() -> Built:
        timm = import_module("timm")  # may be missing
        torch.manual_seed(0)
        return _with_weights(timm.create_model(name, pretrained=False, **members)), {"x": torch.randn(2, 3, size, size)}

    return build


def _diffusion(kind: str, /, inputs: Mapping[str, Tensor], **members: object) -> Callable[[], Built]:
    """A model of diffusers by the name of its class."""

    def build() -> Built:
        diffusers = import_module("diffusers")  # may be missing
        torch.manual_seed(0)
        return _with_weights(getattr(diffusers, kind)(norm_num_groups=4, **members)), inputs

    return build


def _detr() -> Built:
    transformers: Any = import_module("transformers")
    torch.manual_seed(0)
    backbone = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", out_features=["stage2"]
    )
    sizes = {name: size for name, size in _TWO_SIDES.items() if name == "d_model" or "coder" in name}
    config = transformers.DetrConfig(
        use_timm_backbone=False,
        use_pretrained_backbone=False,
        backbone=None,
        backbone_config=backbone,
        num_queries=5,
        **sizes,
    )
    return _with_weights(transformers.DetrForObjectDetection(config)), {"pixel_values": torch.randn(2, 3, 64, 64)}


def _network(make: Callable[[], nn.Module], **inputs: Tensor) -> Callable[[], Built]:
    def build() -> Built:
        torch.manual_seed(0)
        return _with_weights(make()), inputs

    return build


def declare_torchvision_operators() -> None:
    """Lets a torchvision be imported whose compiled part is of another build than this PyTorch: declares its operators.

    The models of the table use none of them.
    """
    if _DECLARED or find_spec("torchvision") is None:
        return
    builds = [version(package).partition("+")[2] for package in ("torch", "torchvision")]
    if builds[0] == builds[1]:
        return
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in _TORCHVISION_OPERATORS:
        library.define(f"{name}(Tensor x) -> Tensor")  # type: ignore[no-untyped-call]
    _DECLARED.append(library)


_DECLARED: Final[list[object]] = []  # a library is gone with its last reference
_POOLS: Final = ("ps_roi_align", "ps_roi_pool", "roi_align", "roi_pool", "deform_conv2d")
_TORCHVISION_OPERATORS: Final = ("nms", "qnms", *_POOLS, *(f"_{name}_backward" for name in _POOLS))


_IDS: Final = torch.arange(12).reshape(2, 6)
_SOUND: Final = _SIZES | {
    "conv_dim": [16, 16],
    "conv_kernel": [10, 3],
    "conv_stride": [5, 2],
    "num_feat_extract_layers": 2,
}
_FEATURES: Final = torch.linspace(-1, 1, 16).reshape(2, 8)

ARCHITECTURES: Final[Mapping[str, Architecture]] = {
    # Encoders
    "bert": Architecture(_pretrained("BertModel", "BertConfig", **_TEXT), fast=True),
    "roberta": Architecture(
        _pretrained("RobertaForTokenClassification", "RobertaConfig", **_TEXT), exact={"dynamo": 98, "torchscript": 100}
    ),
    "distilbert": Architecture(
        _pretrained("DistilBertModel", "DistilBertConfig", dim=32, n_layers=2, n_heads=4, hidden_dim=40, vocab_size=99),
    ),
    "albert": Architecture(_pretrained("AlbertModel", "AlbertConfig", **_TEXT, embedding_size=16)),
    "deberta-v2": Architecture(
        _pretrained(
            "DebertaV2ForSequenceClassification",
            "DebertaV2Config",
            **(_TEXT | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"]}),
        ),
        exact={"dynamo": 100, "torchscript": 99},
    ),
    "electra": Architecture(_pretrained("ElectraForPreTraining", "ElectraConfig", **_TEXT, embedding_size=16)),
    # Decoders
    "gpt2": Architecture(
        _pretrained("GPT2LMHeadModel", "GPT2Config", n_embd=32, n_layer=2, n_head=4, vocab_size=99, n_positions=40),
        exact={"dynamo": 97, "torchscript": 100},
    ),
    "llama": Architecture(_pretrained("LlamaForCausalLM", "LlamaConfig", **_DECODER)),
    "mistral": Architecture(_pretrained("MistralForCausalLM", "MistralConfig", **_DECODER, sliding_window=8)),
    "qwen2": Architecture(_pretrained("Qwen2ForCausalLM", "Qwen2Config", **_DECODER)),
    "gpt-neox": Architecture(
        _pretrained("GPTNeoXForCausalLM", "GPTNeoXConfig", **_TEXT), exact={"dynamo": 98, "torchscript": 100}
    ),
    "opt": Architecture(
        _pretrained(
            "OPTForCausalLM",
            "OPTConfig",
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            ffn_dim=40,
            vocab_size=99,
            word_embed_proj_dim=16,
        ),
    ),
    # Encoder-decoders
    "t5": Architecture(
        _pretrained(
            "T5ForConditionalGeneration",
            "T5Config",
            d_model=32,
            d_ff=40,
            num_layers=2,
            num_heads=4,
            d_kv=8,
            vocab_size=99,
        ),
    ),
    "bart": Architecture(_pretrained("BartForConditionalGeneration", "BartConfig", **_TWO_SIDES)),
    "whisper": Architecture(
        _pretrained(
            "WhisperForConditionalGeneration",
            "WhisperConfig",
            **_TWO_SIDES,
            num_mel_bins=8,
            max_source_positions=30,
            max_target_positions=40,
            decoder_start_token_id=1,
        ),
    ),
    # Images, and images with text
    "vit": Architecture(_pretrained("ViTForImageClassification", "ViTConfig", **_PATCHES)),
    "deit": Architecture(_pretrained("DeiTModel", "DeiTConfig", **_PATCHES)),
    "swin": Architecture(
        _pretrained(
            "SwinModel",
            "SwinConfig",
            **_IMAGE,
            patch_size=2,
            embed_dim=16,
            depths=[1, 2],
            num_heads=[2, 4],
            window_size=4,
        ),
    ),
    "resnet": Architecture(
        _pretrained(
            "ResNetForImageClassification",
            "ResNetConfig",
            **_IMAGE,
            embedding_size=8,
            hidden_sizes=[8, 16],
            depths=[1, 2],
            layer_type="basic",
        ),
    ),
    "convnext": Architecture(
        _pretrained("ConvNextModel", "ConvNextConfig", **_IMAGE, hidden_sizes=[8, 16], depths=[1, 2], num_stages=2),
    ),
    "clip": Architecture(
        _pretrained("CLIPModel", "CLIPConfig", text_config=_TEXT, vision_config=_PATCHES, projection_dim=16),
    ),
    "siglip": Architecture(
        _pretrained("SiglipModel", "SiglipConfig", text_config=_TEXT, vision_config=_PATCHES),
        exact={"dynamo": 99, "torchscript": 100},
    ),
    "segformer": Architecture(
        _pretrained(
            "SegformerForSemanticSegmentation",
            "SegformerConfig",
            **_IMAGE,
            num_encoder_blocks=2,
            depths=[1, 1],
            sr_ratios=[2, 1],
            hidden_sizes=[8, 16],
            patch_sizes=[3, 3],
            strides=[2, 2],
            num_attention_heads=[1, 2],
            mlp_ratios=[2, 2],
            decoder_hidden_size=16,
        ),
    ),
    # State spaces, mixtures of experts, recurrence
    "mamba": Architecture(
        _pretrained(
            "MambaForCausalLM",
            "MambaConfig",
            vocab_size=99,
            hidden_size=16,
            state_size=4,
            num_hidden_layers=2,
        ),
        exact={"dynamo": 98, "torchscript": 99},
    ),
    "mixtral": Architecture(
        _pretrained("MixtralForCausalLM", "MixtralConfig", **_DECODER, num_local_experts=4, num_experts_per_tok=2),
        exact={"dynamo": 98, "torchscript": 99},
    ),
    "router": Architecture(_network(networks.Router, tokens=torch.randn(2, 6, 16))),
    "lstm": Architecture(
        _network(lambda: networks.Recurrent(nn.LSTM, bidirectional=True), input_ids=_IDS),
        exact={"dynamo": 100, "torchscript": 84},
        fast=True,
    ),
    "gru": Architecture(
        _network(lambda: networks.Recurrent(nn.GRU, bidirectional=False), input_ids=_IDS),
        exact={"dynamo": 100, "torchscript": 87},
    ),
    # Generators
    "gan": Architecture(_network(networks.Generator, noise=_FEATURES)),
    "unet": Architecture(_network(networks.UNet, image=torch.ones(2, 3, 16, 16))),
    # Control flow, sharing, functions
    "conditional": Architecture(
        _network(networks.Conditional, x=_FEATURES),
        exact={"dynamo": 50},
        refusals={"torchscript": "the torchscript exporter failed: RuntimeError: Detected that you are using FX"},
        fast=True,
    ),
    "scripted": Architecture(
        _network(networks.Scripted, x=_FEATURES),
        exact={"torchscript": 9},
        refusals={"dynamo": "the dynamo exporter failed: GuardOnDataDependentSymNode: Could not guard on data"},
        fast=True,
    ),
    "shared": Architecture(_network(networks.Shared, input_ids=_IDS), fast=True),
    "functional": Architecture(_network(networks.Functional, x=_FEATURES)),
    # More of transformers
    "qwen3": Architecture(_pretrained("Qwen3ForCausalLM", "Qwen3Config", **_DECODER, head_dim=8)),
    "gemma3": Architecture(_pretrained("Gemma3ForCausalLM", "Gemma3TextConfig", **_DECODER, head_dim=8)),
    "olmo2": Architecture(_pretrained("Olmo2ForCausalLM", "Olmo2Config", **_DECODER)),
    "phi3": Architecture(
        _pretrained("Phi3ForCausalLM", "Phi3Config", **_DECODER), exact={"dynamo": 98, "torchscript": 100}
    ),
    "falcon": Architecture(
        _pretrained(
            "FalconForCausalLM",
            "FalconConfig",
            vocab_size=99,
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
        ),
        exact={"dynamo": 100, "torchscript": 99},
    ),
    "bloom": Architecture(
        _pretrained("BloomForCausalLM", "BloomConfig", vocab_size=99, hidden_size=32, n_layer=2, n_head=4)
    ),
    "xlm-roberta": Architecture(
        _pretrained("XLMRobertaModel", "XLMRobertaConfig", **_TEXT), exact={"dynamo": 98, "torchscript": 100}
    ),
    "camembert": Architecture(
        _pretrained("CamembertModel", "CamembertConfig", **_TEXT), exact={"dynamo": 98, "torchscript": 100}
    ),
    "mobilebert": Architecture(
        _pretrained(
            "MobileBertModel",
            "MobileBertConfig",
            vocab_size=99,
            num_hidden_layers=2,
            hidden_size=64,
            embedding_size=16,
            intra_bottleneck_size=16,
            intermediate_size=32,
        )
    ),
    "squeezebert": Architecture(_pretrained("SqueezeBertModel", "SqueezeBertConfig", **_TEXT, embedding_size=32)),
    "pegasus": Architecture(_pretrained("PegasusModel", "PegasusConfig", **_TWO_SIDES)),
    "marian": Architecture(_pretrained("MarianModel", "MarianConfig", **_TWO_SIDES)),
    "wav2vec2": Architecture(
        _pretrained(
            "Wav2Vec2Model", "Wav2Vec2Config", **_SOUND, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2
        )
    ),
    "hubert": Architecture(
        _pretrained("HubertModel", "HubertConfig", **_SOUND, num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2)
    ),
    "beit": Architecture(_pretrained("BeitModel", "BeitConfig", **_PATCHES)),
    "dinov2": Architecture(_pretrained("Dinov2Model", "Dinov2Config", **(_IMAGE | _SIZES | {"patch_size": 8}))),
    "regnet": Architecture(
        _pretrained(
            "RegNetModel", "RegNetConfig", embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], groups_width=8
        ),
        exact={"dynamo": 70, "torchscript": 100},
    ),
    "convnext-v2": Architecture(
        _pretrained("ConvNextV2Model", "ConvNextV2Config", **_IMAGE, hidden_sizes=[8, 16], depths=[1, 2], num_stages=2)
    ),
    "sam-vision": Architecture(
        _pretrained(
            "SamVisionModel",
            "SamVisionConfig",
            hidden_size=32,
            num_hidden_layers=2,
            num_attention_heads=4,
            image_size=64,
            patch_size=16,
            output_channels=16,
            window_size=2,
            mlp_dim=40,
            global_attn_indexes=[1],
        )
    ),
    # PEFT
    "lora": Architecture(_network(networks.with_lora, input_ids=_IDS), package="peft"),
    "dora": Architecture(_network(lambda: networks.with_lora(use_dora=True), input_ids=_IDS), package="peft"),
    # timm
    "timm-convnext": Architecture(_image_model("convnext_atto", depths=(1, 1, 2, 1)), package="timm"),
    "timm-swin": Architecture(
        _image_model("swin_tiny_patch4_window7_224", 56, img_size=56, depths=(1, 1), num_heads=(2, 4), embed_dim=16),
        package="timm",
    ),
    "timm-maxvit": Architecture(
        _image_model("maxvit_pico_rw_256", img_size=64), exact={"dynamo": 97, "torchscript": 100}, package="timm"
    ),
    "timm-efficientnet": Architecture(_image_model("efficientnet_b0"), package="timm"),
    "timm-mobilenetv2": Architecture(_image_model("mobilenetv2_050"), package="timm"),
    "timm-mobilenetv3": Architecture(_image_model("mobilenetv3_small_050"), package="timm"),
    "timm-mobilenetv4": Architecture(_image_model("mobilenetv4_conv_small_035"), package="timm"),
    "timm-densenet": Architecture(
        _image_model("densenet121", growth_rate=8, block_config=(2, 2, 2, 2)), package="timm"
    ),
    "timm-mixer": Architecture(_image_model("mixer_s32_224", img_size=64), package="timm"),
    # diffusers
    "unet-2d-condition": Architecture(
        _diffusion(
            "UNet2DConditionModel",
            {
                "sample": torch.randn(2, 4, 8, 8),
                "timestep": torch.tensor([3, 5]),
                "encoder_hidden_states": torch.randn(2, 7, 16),
            },
            sample_size=8,
            block_out_channels=(8, 16),
            layers_per_block=1,
            cross_attention_dim=16,
            attention_head_dim=4,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        ),
        exact={"dynamo": 99, "torchscript": 100},
        package="diffusers",
    ),
    "autoencoder-kl": Architecture(
        _diffusion(
            "AutoencoderKL",
            {"sample": torch.randn(2, 3, 16, 16)},
            block_out_channels=(8, 16),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            sample_size=16,
            latent_channels=4,
        ),
        exact={"dynamo": 99, "torchscript": 100},
        package="diffusers",
    ),
    # Detection
    "detr": Architecture(_detr),
    # Parametrisations, tied weights, odd names
    "weight-norm": Architecture(_network(networks.WeightNorm, x=_FEATURES)),
    "tied": Architecture(_network(networks.Tied, input_ids=_IDS)),
    "odd-keys": Architecture(_network(networks.OddKeys, x=_FEATURES)),
}
