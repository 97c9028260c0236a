"""Puts a module into the state in which it is exported, and back into the one in which its owner left it."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final, Protocol, cast

from torch.backends import mha

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import torch

_EXPORTABLE_EXPERTS: Final = "batched_mm"


@contextmanager
def evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Switches what cannot be exported off while the context is open.

    - Training: modules are in evaluation mode.
    - Caches of keys and values (``use_cache`` in the configs of transformers): objects that no ONNX graph has.
    - Grouped products of a mixture of experts, for which ONNX has no operator: transformers has the same with
      batched products.
    - The fused attention of ``torch.nn`` for inference, likewise, within which no module runs.
    """
    with ExitStack() as stack:
        stack.enter_context(_in_evaluation_mode(module))
        stack.enter_context(_without_caches(module))
        stack.enter_context(_with_exportable_experts(module))
        stack.enter_context(_without_fused_attention())
        yield


@contextmanager
def _in_evaluation_mode(module: torch.nn.Module) -> Iterator[None]:
    training = [part for part in module.modules() if part.training]
    module.eval()
    try:
        yield
    finally:
        for part in training:
            part.training = True


class _CachingConfig(Protocol):
    use_cache: bool


@contextmanager
def _without_caches(module: torch.nn.Module) -> Iterator[None]:
    configs = [part.__dict__.get("config") for part in module.modules()]
    caching = {id(config): cast("_CachingConfig", config) for config in configs if getattr(config, "use_cache", False)}
    for config in caching.values():
        config.use_cache = False
    try:
        yield
    finally:
        for config in caching.values():
            config.use_cache = True


class _ModelWithExperts(Protocol):
    """What `transformers.PreTrainedModel` offers to snapshot and restore how experts are computed."""

    def get_experts_implementation(self) -> Mapping[str, str | None]: ...
    def set_experts_implementation(self, experts_implementation: str | Mapping[str, str | None]) -> None: ...


@contextmanager
def _with_exportable_experts(module: torch.nn.Module) -> Iterator[None]:
    if not all(hasattr(module, name) for name in ("get_experts_implementation", "set_experts_implementation")):
        yield
        return
    model = cast("_ModelWithExperts", module)
    earlier = model.get_experts_implementation()
    model.set_experts_implementation(_EXPORTABLE_EXPERTS)
    try:
        yield
    finally:
        model.set_experts_implementation(earlier)


@contextmanager
def _without_fused_attention() -> Iterator[None]:
    earlier = mha.get_fastpath_enabled()
    mha.set_fastpath_enabled(value=False)
    try:
        yield
    finally:
        mha.set_fastpath_enabled(value=earlier)
