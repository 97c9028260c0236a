"""PyTorch models with every kind of place that an operator can have, small enough to export in a moment."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Callable


class Block(nn.Module):
    """A module that is used in a list, with a layer that runs no operator in evaluation."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(8, 8)
        self.activation = nn.GELU()
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.dropout(self.activation(self.dense(x))) + x


class Mixed(nn.Module):
    """Items of a list and of a dictionary, nested Sequential, a module under two names, one used twice, functions."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block(), Block()])
        self.head = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Sequential(nn.Linear(8, 4)))
        self.shared = nn.Linear(4, 4)
        self.alias = self.shared
        self.norms = nn.ModuleDict({"last": nn.LayerNorm(4)})
        self.unused = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        x = self.head(x)
        x = torch.sin(self.shared(x))
        x = self.alias(x) * 2
        x = self.norms["last"](x)
        x = self.blocks[0].activation(x)  # called from outside the module that it stands in
        return x + torch.arange(4)


class Pair(nn.Module):
    """Two modules of the same class and the same last name, called from one module."""

    def __init__(self) -> None:
        super().__init__()
        self.left = nn.ModuleDict({"proj": nn.Linear(4, 4)})
        self.right = nn.ModuleDict({"proj": nn.Linear(4, 4)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.left["proj"](x) - self.right["proj"](x)


class Branching(nn.Module):
    """Control flow that depends on the data."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(4, 4)
        self.positive = nn.Linear(4, 4)
        self.negative = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.dense(x)
        return torch.cond(x.sum() > 0, lambda y: self.positive(y) * 2, lambda y: self.negative(y) - 1, (x,))


class Heavy(nn.Module):
    """Weights large enough for a file of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(64, 64)

    def forward(self, features: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
        return self.dense(features) * scale


class Undecided(nn.Module):
    """Control flow that no exporter by `torch.export` can follow."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


class Talkative(nn.Module):
    """Prints."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        print("running")
        return x + 1


def undecided() -> tuple[nn.Module, torch.Tensor]:
    """With its example input."""
    return Undecided(), torch.randn(2, 8)


def talkative() -> tuple[nn.Module, torch.Tensor]:
    """With its example input."""
    return Talkative(), torch.randn(2, 8)


def mixed() -> tuple[nn.Module, torch.Tensor]:
    """With its example input."""
    torch.manual_seed(0)
    return Mixed(), torch.randn(2, 8)


def heavy() -> nn.Module:
    """Without example inputs."""
    torch.manual_seed(0)
    return Heavy()


def broken() -> nn.Module:
    """Fails itself."""
    raise RuntimeError("no such checkpoint")


def number() -> int:
    """No module."""
    return 3


class Adapted(nn.Module):
    """Two layers without biases in dictionaries, after one that makes no operator: an adapter of LoRA."""

    def __init__(self, values: Callable[..., torch.Tensor]) -> None:
        super().__init__()
        self.dropout = nn.ModuleDict({"default": nn.Dropout(0.1)})
        self.down = nn.ModuleDict({"default": nn.Linear(4, 2, bias=False)})
        self.up = nn.ModuleDict({"default": nn.Linear(2, 4, bias=False)})
        for layer in (self.down["default"], self.up["default"]):
            layer.weight = nn.Parameter(values(layer.weight.shape))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.up["default"](self.down["default"](self.dropout["default"](x)))


class Adapters(nn.Sequential):
    """Two of them."""

    def __init__(self, values: Callable[..., torch.Tensor]) -> None:
        super().__init__(Adapted(values), Adapted(values))
