"""A page in a real browser: the system's Chromium, driven by Playwright, without a network."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from tests.common.command import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_NEEDED = "G2O_NEEDS_BROWSER"  # set by CI, after `make browser`


@contextmanager
def browser() -> Iterator[Any]:
    """Skips the test where Chromium or Playwright is not there, unless CI says that they have to be."""
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        _missing("Playwright")
    if program is None:
        _missing("Chromium")
    sandbox = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=sandbox)
        yield started
        started.close()


def _missing(what: str) -> None:
    if os.environ.get(_NEEDED):
        pytest.fail(f"{what} is not installed")
    pytest.skip(f"{what} is not installed: run `make browser`")


class Shown:
    """One page as it is shown, with what it asked for and what went wrong."""

    def __init__(self, page: Any, path: Path, link: str = "") -> None:
        self.page = page
        self.requests: list[str] = []
        self.errors: list[str] = []
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("dialog", lambda dialog: (self.errors.append(dialog.message), dialog.dismiss()))
        page.goto(f"{path.as_uri()}{link}")
        page.wait_for_selector("html[data-drawn]", state="attached")

    def run(self, script: str) -> Any:
        """What a script gives; ``g2o`` is the page."""
        return self.page.evaluate(script)

    def wait_until(self, script: str) -> None:
        """Waits until a script of the page is true; Playwright's own way evaluates text, which the page forbids."""
        end = time.monotonic() + PATIENCE
        while not self.run(script):
            assert time.monotonic() < end, script
            self.page.wait_for_timeout(20)

    def keys(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def labels(self) -> list[str]:
        """The nodes that are drawn."""
        found: list[str] = self.run(LABELS)
        return found

    @property
    def selected(self) -> str:
        """The label of the selection."""
        label: str = self.run("g2o.model.labelOf(g2o.selected)")
        return label


LABELS = """() => {
  const found = [];
  for (let node = 1; node < g2o.model.count; node++) if (g2o.scene.isShown(node)) found.push(g2o.model.labelOf(node));
  return found;
}"""
"""The labels of the nodes that are drawn."""

FACTS = """() => {
  const { scene, model } = g2o;
  const faults = [];
  for (const box of scene.open) {
    const layout = scene.layoutOf(box);
    if (!layout) continue;
    const of = (n) => ({ n, left: scene.x[n], top: scene.y[n], right: scene.x[n] + scene.width[n],
                         bottom: scene.y[n] + scene.height[n] });
    const boxes = layout.children.map(of);
    for (const a of boxes) {
      if (a.left < 0 || a.top < 0 || a.right > layout.width + .01 || a.bottom > layout.height + .01) {
        faults.push(`${model.labelOf(a.n)} is not in ${model.labelOf(box)}`);
      }
    }
    if (boxes.length > 400) continue;
    boxes.forEach((a, i) => boxes.slice(i + 1).forEach((b) => {
      if (a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom) {
        faults.push(`${model.labelOf(a.n)} overlaps ${model.labelOf(b.n)}`);
      }
    }));
    for (const piece of layout.gaps.flat()) {
      const ends = piece.edges.flatMap((e) => [layout.ties[e].from, layout.ties[e].to]);
      for (let i = 0; i <= 20; i++) {
        const t = i / 20;
        const y = piece.y1 + (piece.y2 - piece.y1) * (1.5 * t * (1 - t) + t ** 3);
        const points = [[piece.x0 + (piece.x1 - piece.x0) * (3 * t * t - 2 * t ** 3), y],
                        [piece.x0, piece.y0 + (piece.y1 - piece.y0) * t],
                        [piece.x1, piece.y2 + (piece.y3 - piece.y2) * t]];
        for (const [x, y] of points) for (const b of boxes) {
          if (!ends.includes(b.n) && x > b.left + 1 && x < b.right - 1 && y > b.top + 1 && y < b.bottom - 1) {
            faults.push(`an edge runs through ${model.labelOf(b.n)}`);
          }
        }
      }
    }
  }
  return [...new Set(faults)];
}"""
"""What is wrong with where things stand: children outside of their box, overlaps, edges through nodes."""
