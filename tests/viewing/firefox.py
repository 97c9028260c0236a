"""A page in the system's Firefox, by WebDriver BiDi: Playwright drives no Firefox but a build of its own.

Source: https://www.w3.org/TR/webdriver-bidi/.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.common.command import PATIENCE
from tests.viewing.browser import LABELS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LISTENS: Final = re.compile(r"WebDriver BiDi listening on (ws://\S+)")
_NAMED: Final = {"Enter": "\ue007", "Escape": "\ue00c", "ArrowDown": "\ue015"}


class Firefox:
    """One tab, with what it asked for and what went wrong."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._count = 0
        self.requests: list[str] = []
        self.errors: list[str] = []
        self._send("session.new", capabilities={})
        self._send("session.subscribe", events=["log.entryAdded", "network.beforeRequestSent"])
        self._tab = self._send("browsingContext.getTree")["contexts"][0]["context"]

    def _send(self, method: str, **params: Any) -> Any:
        self._count += 1
        self._socket.send(json.dumps({"id": self._count, "method": method, "params": params}))
        while True:
            answer = json.loads(self._socket.recv(timeout=PATIENCE))
            if answer.get("id") == self._count:
                assert answer["type"] == "success", answer
                return answer["result"]
            self._note(answer.get("method"), answer.get("params", {}))

    def _note(self, event: str, params: Any) -> None:
        if event == "log.entryAdded" and params["level"] == "error":
            self.errors.append(params["text"])
        elif event == "network.beforeRequestSent":
            self.requests.append(params["request"]["url"])

    def show(self, page: Path, link: str = "") -> None:
        """Opens a page of ``g2o view``, and waits until it is drawn."""
        self._send("browsingContext.navigate", context=self._tab, url=f"{page.as_uri()}{link}", wait="complete")
        end = time.monotonic() + PATIENCE
        while not self.run("Boolean(document.documentElement.dataset.drawn)"):
            assert time.monotonic() < end
            time.sleep(0.05)

    def run(self, script: str) -> Any:
        """What a script gives, which is made JSON on the way."""
        expression = f"JSON.stringify({script})"
        answer = self._send("script.evaluate", expression=expression, target={"context": self._tab}, awaitPromise=True)
        assert answer["type"] == "success", answer
        return json.loads(answer["result"]["value"])

    def labels(self) -> list[str]:
        """The nodes that are drawn."""
        found: list[str] = self.run(f"({LABELS})()")
        return found

    @property
    def selected(self) -> str:
        """The label of the selection."""
        label: str = self.run("g2o.model.labelOf(g2o.selected)")
        return label

    def keys(self, *keys: str) -> None:
        """Presses keys, one after the other."""
        actions = [{"type": kind, "value": _NAMED.get(key, key)} for key in keys for kind in ("keyDown", "keyUp")]
        self._perform({"type": "key", "id": "keys", "actions": actions})

    def double_click(self, x: float, y: float) -> None:
        """Clicks twice at a place of the window, in CSS pixels."""
        click = [{"type": kind, "button": 0} for kind in ("pointerDown", "pointerUp")]
        actions = [{"type": "pointerMove", "x": round(x), "y": round(y)}, *click, *click]
        self._perform({"type": "pointer", "id": "mouse", "actions": actions})

    def _perform(self, source: Any) -> None:
        self._send("input.performActions", context=self._tab, actions=[source])


@contextmanager
def firefox(home: Path) -> Iterator[Firefox]:
    """Starts Firefox with a profile of its own; skips the test where it is not there."""
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        pytest.skip("Firefox is not installed: run `make browser`")
    client = pytest.importorskip("websockets.sync.client", reason="websockets is not installed: run `make browser`")
    arguments = [program, "--headless", "--no-remote", "--profile", str(home), "--remote-debugging-port", "0"]
    with subprocess.Popen(
        [*arguments, "--window-size", "1200,800"], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    ) as process:
        try:
            assert process.stderr is not None
            found = next(filter(None, map(_LISTENS.search, process.stderr)))
            with client.connect(f"{found[1]}/session", max_size=None) as socket:
                yield Firefox(socket)
        finally:
            process.kill()
