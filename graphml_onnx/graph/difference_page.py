"""A difference between two models as a self-contained HTML page, without scripts, fonts or pictures."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphml_onnx.graph.difference import Change, ModelDiff

_OPEN = 200  # changes; beyond them, modules are closed at first
_LONG = 400  # characters of a value that are shown

_STYLE = """
:root { color-scheme: light dark; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 75rem; padding: 0 1rem; }
h1 { font-size: 1.3rem; } code, td, summary b { font-family: ui-monospace, monospace; font-size: .92em; }
summary { cursor: pointer; padding: .3rem .5rem; background: #8882; } details { margin: .5rem 0; }
table { border-collapse: collapse; width: 100%; } td { border-top: 1px solid #8884; padding: .25rem .5rem;
vertical-align: top; overflow-wrap: anywhere; } td:first-child { white-space: nowrap; width: 6rem; }
td:first-child { border-left: 4px solid; } .added td:first-child { border-left-color: #2a2; }
.removed td:first-child { border-left-color: #c33; } .changed td:first-child { border-left-color: #d90; }
.moved td:first-child { border-left-color: #36c; } .renamed td:first-child { border-left-color: #099; }
del { background: #c333; text-decoration: none; } ins { background: #2a23; text-decoration: none; }
.what { opacity: .75; } .note { font-size: .9em; opacity: .75; }
""".strip()


def page(found: ModelDiff, old: str, new: str) -> str:
    """The page.

    Args:
        found: the difference.
        old: the name of the old model.
        new: the name of the new model.
    """
    return "".join(_parts(found, old, new))


def _parts(found: ModelDiff, old: str, new: str) -> Iterator[str]:
    title = f"{_text(old)} and {_text(new)}"
    yield f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
    # No name in a model can run or load anything.
    yield "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
    yield '<meta name="viewport" content="width=device-width">\n'
    yield f"<style>\n{_STYLE}\n</style>\n</head>\n<body>\n"
    yield f"<h1>From <code>{_text(old)}</code> to <code>{_text(new)}</code></h1>\n"
    if found.is_empty:
        yield "<p>The models are the same.</p>\n"
    else:
        yield f"<p>{_counts(found.changes)}</p>\n"
    opened = " open" if len(found.changes) <= _OPEN else ""
    for path, changes in found.by_module().items():
        yield f"<details{opened}>\n<summary><b>{_text(path or '(model)')}</b>: {_counts(changes)}</summary>\n<table>\n"
        for change in changes:
            yield _row(change)
        yield "</table>\n</details>\n"
    yield '<p class="note">Made by g2o diff.</p>\n</body>\n</html>\n'


def _counts(changes: Sequence[Change]) -> str:
    kinds: dict[str, int] = {}
    for change in changes:
        kinds[change.kind] = kinds.get(change.kind, 0) + 1
    return ", ".join(f"{count:,} {kind}" for kind, count in kinds.items())


def _row(change: Change) -> str:
    what = _text(change.op_type or change.subject)
    place = f' <span class="what">in {_text(change.body)}</span>' if change.body else ""
    details = "".join(_detail(*detail, whole=change.kind in ("added", "removed")) for detail in change.details)
    values = "" if change.values is None else f"<div>{_text(str(change.values))}</div>"
    return (
        f'<tr class="{change.kind}"><td>{change.kind}</td>'
        f"<td><b>{what}</b> {_text(change.name)}{place}{details}{values}</td></tr>\n"
    )


def _detail(name: str, old: str | None, new: str | None, *, whole: bool) -> str:
    label = "" if whole else f'<span class="what">{_text(name)}</span> '
    before = "" if old is None else f"<del>{_value(old)}</del>"
    after = "" if new is None else f"<ins>{_value(new)}</ins>"
    arrow = " → " if before and after else ""
    return f"<div>{label}{before}{arrow}{after}</div>"


def _value(text: str) -> str:
    return _text(text if len(text) <= _LONG else f"{text[: _LONG - 1]}…") or "(empty)"


def _text(text: str) -> str:
    """A text of a model, or a path, made visible and safe for HTML."""
    if not text.isprintable():  # line ends, marks that turn the direction of text, bytes that are no UTF-8
        text = "".join(sign if sign.isprintable() else f"\\u{ord(sign):04x}" for sign in text)
    return escape(text)
