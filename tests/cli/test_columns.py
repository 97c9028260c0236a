"""Tables on a terminal: letters of two cells, and names that are longer than a line."""

from __future__ import annotations

import os

import pytest
from graphml_onnx.cli import show
from rich.cells import cell_len

HEAD = ["parameter", "type", "bytes"]


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    monkeypatch.setattr(show, "is_terminal", lambda: True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size((width, 24)))


def lines(rows: list[list[str]]) -> list[str]:
    import click

    return [click.unstyle(line) for line in show.columns(HEAD, rows, left=2).splitlines()]


def test_columns_stand_below_each_other_whatever_the_width_of_their_letters() -> None:
    shown = lines([["权重文件", "FLOAT", "1"], ["cafe\u0301", "FLOAT", "22"], ["abc", "FLOAT", "333"]])
    places = {cell_len(line[: line.index("FLOAT")]) for line in shown[1:]}
    assert places == {len("parameter") + 2}
    assert {cell_len(line) for line in shown} == {cell_len(shown[0])}
    assert show.table([("权重", "x"), ("abcdef", "y")]).splitlines() == ["权重    x", "abcdef  y"]


@pytest.mark.parametrize("letter", ["x", "权"])
def test_a_long_name_is_shown_less_its_middle(monkeypatch: pytest.MonkeyPatch, letter: str) -> None:
    name = f"encoder.{letter * 3000}.weight"
    rows = [[name, "FLOAT[2, 3]", "24"], ["short", "FLOAT", "4"]]
    assert name in show.columns(HEAD, rows, left=2)  # in a file or a pipe it is whole

    on_a_terminal(monkeypatch, 80)
    shown = lines(rows)
    assert all(cell_len(line) <= 80 for line in shown)
    assert shown[1].startswith("encoder.")
    assert ".weight " in shown[1]
    assert shown[1].count("…") == 1
    assert "short" in shown[2]


def test_a_narrow_terminal_keeps_names_that_can_be_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    on_a_terminal(monkeypatch, 10)
    shown = lines([["a" * 100, "b" * 50, "1"]])
    assert cell_len(shown[1]) == 24 + 2 + 24 + 2 + len("bytes")
