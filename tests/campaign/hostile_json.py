"""JSON with something wrong, or only unusual, in one or several places; made from JSON that is right."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import random
    from collections.abc import Callable


class Raw(str):
    """Text that stands in the JSON as it is."""

    __slots__ = ()


class Members(list["tuple[str, Tree]"]):
    """An object as pairs, so that a key may stand twice."""

    __slots__ = ()


Tree: TypeAlias = "Members | list[Tree] | str | int | float | bool | None"

_DEEP = 20_000
_RAW = (
    "NaN", "Infinity", "-Infinity", "1e999", "-0", "-0.0", "01", "+1", ".5", "1.", "0x10", "1_0", "9" * 400, "9" * 5000,
    "1e400", "1e-400", "True", "None", "undefined", "'x'", '"\t"', '"\\ud800"', '"\\udfff\\ud800"', '"\\u0000"',
    '"\\q"', '"', "", ",", "]", "}", "[", "{", "{}{}", "//", "/**/1", "[" * _DEEP, '{"a":' * _DEEP,
    "[" * _DEEP + "]" * _DEEP, "[" * 150 + "]" * 150, '{"a":' * 150 + "1" + "}" * 150,
)  # fmt: skip
_VALUES: tuple[Tree, ...] = (
    None, True, False, 0, 1, -1, 2, 7, 2**31 - 1, 2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63),
    -(2**63) - 1, 10**30, 0.5, -0.0, 1e308, 5e-324, 3.4e38, 65520.0, 1e39, "", " ", "x", "\n", "\0", "\x7f\x85\u2028",
    "\ud800", "\ufffe", "0", "-1", "NaN", "NaN:ff", "Infinity", "-Infinity", "a" * 300, "/", "//", "/A/B", "A.0", "..",
    "../x", "/etc/passwd", "<a>&amp;", "FLOAT", "GRAPH", "STRING", "EXTERNAL", "é", "\U0001f600",
)  # fmt: skip
_KEYS = (
    "", "x", "name", "modules", "nodes", "model", "children", "class_name", "traced_tag", "scope", "execution_order",
    "$payload", "$graph", "$base64", "$unknown", "$bits", "offset", "length", "sha256", "raw_data", "data_type", "dims",
    "type", "t", "g", "i", "floats", "ints", "tensors", "float_data", "external_data", "location", "content", "patch",
    "size", "nonce", "payloads", "tensor_type", "elem_type", "sequence_type", "shape", "dim", "dim_value", "dim_param",
)  # fmt: skip


@lru_cache(maxsize=1000)  # nothing changes a tree in place
def parse(text: str) -> Tree:
    """JSON as a tree."""
    tree: Tree = json.loads(text, object_pairs_hook=Members)
    return tree


def write(tree: Tree) -> str:
    """The text of a tree; the inverse of `parse`, less white space."""
    parts: list[str] = []
    todo: list[Tree] = [tree]
    while todo:
        value = todo.pop()
        if isinstance(value, Raw):
            parts.append(value)
        elif isinstance(value, Members):
            todo.append(Raw("}"))
            for index in range(len(value) - 1, -1, -1):
                key, member = value[index]
                todo += [member, Raw(f"{'' if index == 0 else ','}{json.dumps(key)}:")]
            parts.append("{")
        elif isinstance(value, list):
            todo.append(Raw("]"))
            for index in range(len(value) - 1, -1, -1):
                todo.append(value[index])
                if index:
                    todo.append(Raw(","))
            parts.append("[")
        else:
            parts.append(json.dumps(value))
    return "".join(parts)


def mutant(text: str, rng: random.Random) -> str:
    """JSON with one to four changes; some are spoiled in their text."""
    tree = parse(text)
    for _ in range(rng.choice((1, 1, 2, 4))):
        tree = _change(tree, rng, 0)
    changed = write(tree)
    return spoiled(changed, rng) if rng.random() < 0.1 else changed


def spoiled(text: str, rng: random.Random) -> str:
    """The text cut off, with a character changed, or with something put in."""
    position = rng.randint(0, len(text))
    choice = rng.randrange(4)
    if choice == 0:
        return text[:position]
    if choice == 1:
        return text[:position] + rng.choice('{}[],:"\\ 0-eE\0\x1f\ufeff\xa0u') + text[position + 1 :]
    if choice == 2:
        return text[:position] + rng.choice(_RAW) + text[position:]
    start = rng.randint(0, position)
    return text[:position] + text[start:position] + text[position:]


def _change(tree: Tree, rng: random.Random, depth: int) -> Tree:
    """The tree with one change somewhere in it."""
    if isinstance(tree, Members | list) and tree and rng.random() < (0.9 if depth < 3 else 0.75):
        index = rng.randrange(len(tree))
        if isinstance(tree, Members):
            key, value = tree[index]
            return Members([*tree[:index], (key, _change(value, rng, depth + 1)), *tree[index + 1 :]])
        return [*tree[:index], _change(tree[index], rng, depth + 1), *tree[index + 1 :]]
    return rng.choice(_CHANGES)(tree, rng)


def _replace(_: Tree, rng: random.Random) -> Tree:
    return rng.choice(_VALUES)


def _replace_raw(_: Tree, rng: random.Random) -> Tree:
    return Raw(rng.choice(_RAW))


def _wrap(tree: Tree, rng: random.Random) -> Tree:
    return rng.choice(([tree], [tree, tree], Members([(rng.choice(_KEYS), tree)])))


def _vary(tree: Tree, rng: random.Random) -> Tree:
    """A value near the one that is there."""
    if isinstance(tree, bool) or tree is None:
        return not tree
    if isinstance(tree, int | float):
        return rng.choice((-tree, tree + 1, tree - 1, tree * 2, str(tree), float(tree) if abs(tree) < 1e300 else 0.5))
    if isinstance(tree, str):
        cut = rng.randint(0, len(tree))
        return rng.choice((tree[:cut], tree + tree, tree[cut:] + tree[:cut], tree.upper(), tree + "\0", [tree]))
    return tree


def _grow(tree: Tree, rng: random.Random) -> Tree:
    """One member or element more."""
    if isinstance(tree, Members):
        keys = [key for key, _ in tree]
        key = rng.choice([*keys, *_KEYS])
        value = rng.choice([*(value for _, value in tree), *_VALUES])
        at = rng.randint(0, len(tree))
        return Members([*tree[:at], (key, value), *tree[at:]])
    if isinstance(tree, list):
        at = rng.randint(0, len(tree))
        return [*tree[:at], rng.choice([*tree, *_VALUES]), *tree[at:]]
    return [tree, tree]


def _shrink(tree: Tree, rng: random.Random) -> Tree:
    if isinstance(tree, Members) and tree:
        at = rng.randrange(len(tree))
        return Members([*tree[:at], *tree[at + 1 :]])
    if isinstance(tree, list) and tree:
        at = rng.randrange(len(tree))
        return [*tree[:at], *tree[at + 1 :]]
    return None


def _rename(tree: Tree, rng: random.Random) -> Tree:
    if isinstance(tree, Members) and tree:
        at = rng.randrange(len(tree))
        return Members([*tree[:at], (rng.choice(_KEYS), tree[at][1]), *tree[at + 1 :]])
    return rng.choice(_KEYS)


def _shuffle(tree: Tree, rng: random.Random) -> Tree:
    if isinstance(tree, Members):
        return Members(rng.sample(tree, len(tree)))
    return rng.sample(tree, len(tree)) if isinstance(tree, list) else tree


_CHANGES: tuple[Callable[[Tree, random.Random], Tree], ...] = (
    _replace, _replace, _replace_raw, _wrap, _vary, _vary, _grow, _grow, _shrink, _rename, _shuffle,
)  # fmt: skip
