"""``--config FILE``: defaults of options from a TOML file; the command line takes precedence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, cast

from graphml_onnx.errors import UsageError, reading_failed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

_ON_THE_COMMAND_LINE = frozenset({"json", "debug", "help"})
"""Options about the display of errors, which may happen before the file is read."""


class Parameter(Protocol):
    """The used part of a command's option."""

    name: str | None
    opts: Sequence[str]
    secondary_opts: Sequence[str]


class Command(Protocol):
    """The used part of a command."""

    params: Sequence[Parameter]


def read(path: Path, commands: Mapping[str, Command]) -> dict[str, dict[str, object]]:
    """The defaults from a file, by command and by the name of the argument.

    A table such as ``[encode]`` is for one command; keys before the tables are for all commands with such an option.
    Keys are names of options, with or without hyphens.

    Args:
        path: the file.
        commands: all commands by name.

    Raises:
        InputError: it is missing or may not be read.
        UsageError: it is not TOML, or names a command or option that does not exist.
    """
    import tomllib

    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise reading_failed(error, path) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"is not TOML: {error}", file=path) from error
    options = {name: dict(_options(command)) for name, command in commands.items()}
    defaults: dict[str, dict[str, object]] = {name: {} for name in commands}
    for key, value in document.items():
        if isinstance(value, dict):
            if key not in commands:
                raise _unknown(path, "command", key, commands)
        else:
            holders = [name for name, known in options.items() if _plain(key) in known]
            if not holders:
                raise _unknown(path, "option", key, {name for known in options.values() for name in known})
            for name in holders:
                defaults[name][options[name][_plain(key)]] = value
    for name, table in document.items():
        if isinstance(table, dict):
            for key, value in cast("dict[str, object]", table).items():
                if _plain(key) not in options[name]:
                    raise _unknown(path, f"option of g2o {name}", key, options[name])
                defaults[name][options[name][_plain(key)]] = value
    return defaults


def _options(command: Command) -> Iterator[tuple[str, str]]:
    """Each name of an option, with the name of its argument."""
    for parameter in command.params:
        for option in parameter.opts:
            name = _plain(option)
            if option.startswith("--") and parameter.name is not None and name not in _ON_THE_COMMAND_LINE:
                yield name, parameter.name


def _plain(option: str) -> str:
    return option.lstrip("-").replace("-", "_")


def _unknown(path: Path, kind: str, name: str, known: Iterable[str]) -> UsageError:
    if _plain(name) in _ON_THE_COMMAND_LINE:
        return UsageError(f"--{name} is for the command line", file=path, remedy="remove it")
    import difflib

    near = difflib.get_close_matches(name, list(known), 3)
    remedy = f"close to it: {', '.join(near)}" if near else "g2o --help lists the commands, and each lists its options"
    return UsageError(f"there is no {kind} {name!r}", file=path, remedy=remedy)
