"""Networks in plain `torch.nn` for the table of architectures: what transformers has no config for."""

from __future__ import annotations

from importlib import import_module

import torch
from torch import Tensor, nn
from torch.nn import functional


class Recurrent(nn.Module):
    """A tagger of sequences: embedding, recurrent cells in two layers, a head."""

    def __init__(self, cell: type[nn.LSTM | nn.GRU], *, bidirectional: bool) -> None:
        super().__init__()
        self.embedding = nn.Embedding(99, 16)
        self.cells = cell(16, 12, num_layers=2, batch_first=True, bidirectional=bidirectional)
        self.head = nn.Linear(24 if bidirectional else 12, 5)

    def forward(self, input_ids: Tensor) -> Tensor:
        states, _ = self.cells(self.embedding(input_ids))
        tags: Tensor = self.head(states)
        return tags


class Generator(nn.Module):
    """The generator of a GAN: noise becomes an image in one `Sequential`."""

    def __init__(self) -> None:
        super().__init__()
        self.main = nn.Sequential(
            nn.ConvTranspose2d(8, 16, 4, bias=False),
            nn.BatchNorm2d(16),
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(16, 8, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(8),
            nn.LeakyReLU(0.2),
            nn.ConvTranspose2d(8, 3, 4, stride=2, padding=1),
            nn.Tanh(),
        )

    def forward(self, noise: Tensor) -> Tensor:
        image: Tensor = self.main(noise[:, :, None, None])
        return image


class _Double(nn.Sequential):
    def __init__(self, before: int, after: int) -> None:
        super().__init__(nn.Conv2d(before, after, 3, padding=1), nn.GroupNorm(2, after), nn.SiLU())


class UNet(nn.Module):
    """Two levels down, two up, and the features of each level carried across."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([_Double(3, 8), _Double(8, 16)])
        self.pool = nn.MaxPool2d(2)
        self.bottom = _Double(16, 16)
        self.up = nn.ModuleDict({"1": _Double(32, 8), "0": _Double(16, 8)})
        self.out = nn.Conv2d(8, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        across = []
        for level in self.down:
            image = level(image)
            across.append(image)
            image = self.pool(image)
        image = self.bottom(image)
        for key, level in self.up.items():
            image = functional.interpolate(image, scale_factor=2.0, mode="nearest")
            image = level(torch.cat([image, across[int(key)]], dim=1))
        mask: Tensor = self.out(image)
        return mask


class _Expert(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.up = nn.Linear(16, 24)
        self.down = nn.Linear(24, 16)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.down(functional.silu(self.up(x)))
        return y


class Router(nn.Module):
    """A mixture of experts, all of which run: a router weighs the best two of each token."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = nn.Linear(16, 4, bias=False)
        self.experts = nn.ModuleList([_Expert() for _ in range(4)])
        self.norm = nn.LayerNorm(16)

    def forward(self, tokens: Tensor) -> Tensor:
        best, chosen = self.gate(tokens).softmax(-1).topk(2, dim=-1)
        weights = torch.zeros(*tokens.shape[:-1], 4).scatter(-1, chosen, best)
        mixed = torch.stack([expert(tokens) for expert in self.experts], dim=-1)
        y: Tensor = self.norm((mixed * weights[..., None, :]).sum(-1) + tokens)
        return y


class Conditional(nn.Module):
    """Control flow for `torch.export`: one of two branches with modules of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(8, 8)
        self.positive = nn.Linear(8, 8)
        self.negative = nn.Sequential(nn.Linear(8, 8), nn.Tanh())
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dense(x)
        x = torch.cond(x.sum() > 0, lambda y: self.positive(y) * 2, lambda y: self.negative(y) - 1, (x,))
        y: Tensor = self.head(x)
        return y


@torch.jit.script
def _steps(x: Tensor) -> Tensor:
    """A branch and a loop that depend on the data."""
    x = x * 2 if bool(x.sum() > 0) else x - 1
    for _ in range(int((x > 0).sum())):
        x = 0.9 * x + 0.5
    return x


class Steps(nn.Module):
    """Calls a compiled function."""

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = _steps(x)
        return y


class Scripted(nn.Module):
    """Control flow for TorchScript: a compiled function in one of the modules that are traced."""

    def __init__(self) -> None:
        super().__init__()
        self.before = nn.Linear(8, 8)
        self.steps = Steps()
        self.after = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.after(self.steps(self.before(x)))
        return y


class Shared(nn.Module):
    """One layer run three times, one module under two names, and two layers with one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(32, 16)
        self.layer = nn.TransformerEncoderLayer(16, 2, 24, batch_first=True)
        self.norm = nn.LayerNorm(16)
        self.same_norm = self.norm
        self.decoder = nn.Linear(16, 32, bias=False)
        self.decoder.weight = self.embedding.weight

    def forward(self, input_ids: Tensor) -> Tensor:
        x = self.norm(self.embedding(input_ids))
        for _ in range(3):
            x = self.layer(x)
        logits: Tensor = self.decoder(self.same_norm(x))
        return logits


class Functional(nn.Module):
    """No module but the root: parameters and functions."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 8))
        self.register_buffer("scale", torch.rand(8))

    def forward(self, x: Tensor) -> Tensor:
        return functional.softmax(functional.layer_norm(x * self.get_buffer("scale"), (8,)) @ self.weight.T, dim=-1)


class WeightNorm(nn.Module):
    """Both forms of weight normalisation."""

    def __init__(self) -> None:
        super().__init__()
        self.old = nn.utils.weight_norm(nn.Linear(8, 8))
        self.new = nn.utils.parametrizations.weight_norm(nn.Linear(8, 8))

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.new(torch.relu(self.old(x)))
        return out


class Tied(nn.Module):
    """A language model whose head has the weights of its embedding."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(99, 16)
        self.body = nn.Linear(16, 16)
        self.head = nn.Linear(16, 99, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, input_ids: Tensor) -> Tensor:
        scores: Tensor = self.head(torch.tanh(self.body(self.embedding(input_ids))))
        return scores


class OddKeys(nn.Module):
    """Modules whose names are no identifiers."""

    def __init__(self) -> None:
        super().__init__()
        names = ["a b", "0", "ü-1", "x/y", "weight"]
        self.parts = nn.ModuleDict({name: nn.Linear(8, 8) for name in names})

    def forward(self, x: Tensor) -> Tensor:
        for part in self.parts.values():
            x = torch.relu(part(x))
        return x


def with_lora(*, use_dora: bool = False) -> nn.Module:
    """A BERT with adapters of low rank; those of DoRA scale the sum of weight and adapter."""
    import transformers

    peft = import_module("peft")  # may be missing
    config = transformers.BertConfig(
        vocab_size=99,
        max_position_embeddings=40,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=40,
    )
    model = transformers.BertModel(config)
    adapters = peft.LoraConfig(r=4, target_modules=["query", "value"], use_dora=use_dora)
    adapted: nn.Module = peft.get_peft_model(model, adapters)
    return adapted
