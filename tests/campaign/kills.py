"""The targets ``kill-encode`` and ``kill-decode``: the command is killed while it replaces files.

The command is a process of its own, killed at a random moment from the appearance of its temporary files to its end.
It is forked from this one, which has imported everything already; now and then a whole run starts as users start it.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, NoReturn

from graphml_onnx.cli.main import run as run_command

from graphml_onnx import decode, encode
from tests.campaign import scratch
from tests.common import seeds
from tests.common.command import in_process

if TYPE_CHECKING:
    from pathlib import Path

_WHOLE_EVERY = 50
_POLL_SECONDS = 0.0001
_PATIENCE_SECONDS = 60.0


class _Kills:
    """Runs the command and kills it.

    Args:
        folder: where to work.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._work = folder / "work"
        self._work.mkdir()
        small = seeds.small_models()
        self._models = {"old": small["large"], "new": small["training"] + small["large"]}
        for name, data in self._models.items():
            (folder / f"{name}.onnx").write_bytes(data)
        self._seconds = 0.02  # from the first temporary file to the end; measured as it goes

    def _try(self, number: int, arguments: tuple[str, ...]) -> bool:
        """Runs the command once; returns whether it was killed."""
        if number % _WHOLE_EVERY == _WHOLE_EVERY - 1:
            self._run(arguments)
            return False
        return self._kill(arguments, random.Random(number))

    def _warm_up(self, *arguments: str) -> None:
        """Writes the first outputs, and imports what the command imports."""
        ran = in_process(self._folder, *arguments)
        assert ran.code == 0, ran.err

    def _run(self, arguments: tuple[str, ...]) -> None:
        """Runs the command to its end, as users do."""
        done = subprocess.run(
            [sys.executable, "-m", "graphml_onnx.cli", *arguments],
            cwd=self._folder, capture_output=True, check=False, timeout=_PATIENCE_SECONDS,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, b""), done

    def _kill(self, arguments: tuple[str, ...], rng: random.Random) -> bool:
        """Runs the command and kills it; returns whether that came before its end."""
        earlier = self._temporaries()
        errors = self._folder / "errors"
        child = os.fork()
        if child == 0:
            self._command(arguments, errors)
        end = time.monotonic() + _PATIENCE_SECONDS
        ended, status = os.waitpid(child, os.WNOHANG)
        while not ended and not self._temporaries() - earlier and time.monotonic() < end:
            time.sleep(_POLL_SECONDS)
            ended, status = os.waitpid(child, os.WNOHANG)
        appeared = time.monotonic()
        if not ended:
            time.sleep(rng.uniform(0.0, 1.2 * self._seconds))
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status)
        # Those that were too late say how long it takes.
        self._seconds = self._seconds * 1.02 if killed else 0.9 * self._seconds + 0.08 * (time.monotonic() - appeared)
        assert killed or os.waitstatus_to_exitcode(status) == 0, errors.read_text()
        assert not errors.read_text()
        return killed

    def _command(self, arguments: tuple[str, ...], errors: Path) -> NoReturn:
        """What the child does."""
        code = 1
        with contextlib.suppress(BaseException):
            os.chdir(self._folder)
            descriptor = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(descriptor, 2)
            sys.stderr = os.fdopen(descriptor, "w", closefd=False)
            sys.argv = ["g2o", *arguments]
            code = run_command()
            sys.stderr.flush()
        os._exit(code)

    def _temporaries(self) -> set[str]:
        return {path.name for path in self._work.iterdir()}

    def _check_names(self, final: set[str], *, clean: bool) -> str:
        """Nothing is in the folder but the outputs and, after a kill, names that are reserved."""
        left = scratch.names(self._work) - final
        assert not (clean and left), f"left behind: {sorted(left)}"
        reserved = {name for name in left if name.endswith(".g2o-tmp") or name.rpartition(".")[0] in final}
        assert left == reserved, f"not reserved: {sorted(left - reserved)}"
        return "with leftovers" if left else "without leftovers"


class KilledEncode(_Kills):
    """The old pair or the new pair decodes, never a mixture; the next run removes what was left.

    Args:
        folder: where to work.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._graph = self._work / "graph.graphml"
        self._now = "old"
        self._warm_up("encode", "old.onnx", "-o", "work/graph.graphml", "-q")

    def attempt(self, number: int) -> str:
        """See `Target`; each execution begins with what the last one left."""
        given = {"old": "new", "new": "old"}[self._now]
        command = ("encode", f"{given}.onnx", "-o", "work/graph.graphml", "--force", "-q")
        killed = self._try(number, command)
        names = {"graph.graphml", "graph.onnxdata"}
        left = self._check_names(names, clean=not killed)
        back = self._folder / "back.onnx"
        with scratch.no_waiting():
            result = decode(self._graph, back, overwrite=True)
        found = next(name for name, data in self._models.items() if data == back.read_bytes())
        assert result.exact
        assert killed or found == given
        self._now, before = found, self._now
        if not killed:
            return "finished"
        return f"killed {left}: the {'old' if found == before else 'new'} pair"


class KilledDecode(_Kills):
    """The model is the old one or the new one, and so are the metadata; never half of one.

    Args:
        folder: where to work.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._metadata = {}
        for name in self._models:
            metadata = {"modules": {"class_name": name, "traced_tag": f"/{name}", "scope": ""}, "nodes": {}}
            encode(folder / f"{name}.onnx", folder / f"{name}.graphml", metadata=metadata)
            decode(folder / f"{name}.graphml", folder / "x.onnx", metadata_output=folder / "x.json", overwrite=True)
            self._metadata[name] = (folder / "x.json").read_bytes()
        self._now = "old"
        self._warm_up("decode", "old.graphml", "-o", "work/model.onnx", "--meta-out", "work/m.json", "-q")

    def attempt(self, number: int) -> str:
        """See `Target`; each execution begins with what the last one left."""
        given = {"old": "new", "new": "old"}[self._now]
        command = ("decode", f"{given}.graphml", "-o", "work/model.onnx", "--meta-out", "work/m.json", "--force", "-q")
        killed = self._try(number, command)
        left = self._check_names({"model.onnx", "m.json"}, clean=not killed)
        model, metadata = (self._work / "model.onnx").read_bytes(), (self._work / "m.json").read_bytes()
        found = next(name for name, data in self._models.items() if data == model)
        assert metadata in self._metadata.values()
        assert killed or (found, metadata) == (given, self._metadata[given])
        self._now, before = found, self._now
        if not killed:
            return "finished"
        return f"killed {left}: the {'old' if found == before else 'new'} model"
