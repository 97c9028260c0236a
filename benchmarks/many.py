"""The same work on all files of a folder in one process: this project, and its peers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks import networkx_peers, peers
from graphml_onnx import ParameterStrategy, decode, encode

if TYPE_CHECKING:
    from collections.abc import Callable


def encode_all(source: str, target: str, parameters: ParameterStrategy, self_check: bool) -> None:
    def one(model: str, graph: str) -> None:
        encode(model, graph, parameters=parameters, self_check=self_check)

    _all(source, ".onnx", one, target, ".graphml")


def decode_all(source: str, target: str) -> None:
    def one(graph: str, model: str) -> None:
        decode(graph, model)

    _all(source, ".graphml", one, target, ".onnx")


def onnx_load_save_all(source: str, target: str) -> None:
    _all(source, ".onnx", peers.onnx_load_save, target, ".onnx")


def copy_all(source: str, target: str) -> None:
    _all(source, ".onnx", peers.copy_bytes, target, ".onnx")


def networkx_write_all(source: str, target: str) -> None:
    _all(source, ".onnx", networkx_peers.write_edges, target, ".graphml")


def networkx_read_all(source: str) -> None:
    for path in sorted(Path(source).glob("*.graphml")):
        networkx_peers.read(str(path))


def _all(source: str, kind: str, work: Callable[[str, str], None], target: str, result: str) -> None:
    folder = Path(target)
    folder.mkdir()
    for path in sorted(Path(source).glob(f"*{kind}")):
        work(str(path), str(folder / f"{path.stem}{result}"))
