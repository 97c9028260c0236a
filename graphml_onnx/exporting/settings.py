"""What can be set about an export, and the keyword arguments that may be passed on to PyTorch's exporters."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from graphml_onnx.errors import UsageError
from graphml_onnx.exporting.jsonfiles import JsonSource, Place, check_keys, integer, items, read_object, text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from graphml_onnx.exporting.record import ExporterName
    from graphml_onnx.support.strictjson import Json

EXPORTERS: Final[tuple[ExporterName, ...]] = ("dynamo", "torchscript")

ConfigValue: TypeAlias = "bool | int | list[str]"


@dataclass(frozen=True, slots=True)
class ExporterSettings:
    """How one of PyTorch's exporters is called.

    Attributes:
        exporter: which one.
        opset: version of the default domain; None for the exporter's own choice.
        dynamic_shapes: for each input the names of its dynamic dimensions, by their number.
        config: keyword arguments of the exporter; see `read_export_config`.
    """

    exporter: ExporterName = "dynamo"
    opset: int | None = None
    dynamic_shapes: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    config: Mapping[str, ConfigValue] = field(default_factory=dict)

    def flag(self, name: str, *, default: bool) -> bool:
        """A yes or no of the config."""
        return bool(self.config.get(name, default))

    @property
    def folds_constants(self) -> bool:
        """Whether the exporter computes constant parts of the graph."""
        return self.flag("optimize" if self.exporter == "dynamo" else "do_constant_folding", default=True)

    def names(self, key: Literal["input_names", "output_names"]) -> list[str] | None:
        """Names of tensors in the config."""
        names = self.config.get(key)
        return list(names) if isinstance(names, list) else None


def make_settings(
    exporter: str,
    opset: int | None,
    dynamic_shapes: Mapping[str, Mapping[int, str]],
    config: JsonSource | None,
) -> ExporterSettings:
    """Checks how an exporter is to be called.

    Raises:
        InputError: the config file is missing or may not be read.
        UsageError: no such exporter; a keyword that it does not have, or a value of another type.
    """
    known = next((name for name in EXPORTERS if name == exporter), None)
    if known is None:
        raise UsageError(f"exporter is {exporter!r}, not one of {', '.join(EXPORTERS)}")
    values = {} if config is None else read_export_config(config, known)
    given = values.pop("opset_version", None)
    if opset is not None and given is not None and opset != given:
        raise UsageError("--opset and opset_version in --export-config differ", remedy="give one of them")
    version = opset if opset is not None else given
    return ExporterSettings(known, version if isinstance(version, int) else None, dynamic_shapes, values)


def read_export_config(source: JsonSource, exporter: ExporterName) -> dict[str, ConfigValue]:
    """Reads keyword arguments for an exporter, such as ``{"output_names": ["logits"], "optimize": false}``.

    Either exporter has ``input_names``, ``output_names``, ``opset_version`` and ``keep_initializers_as_inputs``;
    dynamo also ``external_data`` and ``optimize``; TorchScript also ``do_constant_folding``. They mean what
    `torch.onnx.export` says.

    Raises:
        InputError: the file is missing or may not be read.
        UsageError: another keyword, or a value of another type.
    """
    members, place = read_object(source, "--export-config")
    readers = {**_READERS, **_OWN_READERS[exporter]}
    check_keys(members, readers, place)
    return {key: readers[key](value, place.at(key)) for key, value in members.items()}


def _flag(value: Json, place: Place) -> bool:
    if not isinstance(value, bool):
        raise place.wrong("is not true or false")
    return value


def _names(value: Json, place: Place) -> list[str]:
    return [text(name, place) for name in items(value, place)]


def _positive(value: Json, place: Place) -> int:
    return integer(value, place, least=1)


_READERS: Final[Mapping[str, Callable[[Json, Place], ConfigValue]]] = {
    "input_names": _names,
    "output_names": _names,
    "opset_version": _positive,
    "keep_initializers_as_inputs": _flag,
}
_OWN_READERS: Final[Mapping[ExporterName, Mapping[str, Callable[[Json, Place], ConfigValue]]]] = {
    "dynamo": {"external_data": _flag, "optimize": _flag},
    "torchscript": {"do_constant_folding": _flag},
}
