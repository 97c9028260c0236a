"""What other tools do with the same files; those of networkx are in `networkx_peers`."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import onnx
from google.protobuf import json_format
from lxml import etree  # type: ignore[import-untyped]

_CHUNK = 1 << 22


def copy(source: str, target: str) -> None:
    subprocess.run(["cp", source, target], check=True)


def copy_to_disk(source: str, target: str) -> None:
    subprocess.run(["cp", source, target], check=True)
    subprocess.run(["sync", target], check=True)


def copy_bytes(source: str, target: str) -> None:
    """Without a process of its own, for small files."""
    Path(target).write_bytes(Path(source).read_bytes())


def sha256(source: str) -> None:
    digest = hashlib.sha256()
    with Path(source).open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)


def onnx_load_save(source: str, target: str) -> None:
    """Data files stay where they are."""
    onnx.save(onnx.load(source, load_external_data=False), target)


def protobuf_parse(source: str) -> None:
    """The message of a model, and no more: what a program that looks at a model holds at least."""
    onnx.ModelProto.FromString(Path(source).read_bytes())


def protobuf_to_json(source: str, target: str) -> None:
    Path(target).write_text(json_format.MessageToJson(onnx.load(source)), encoding="utf-8")


def protobuf_from_json(source: str, target: str) -> None:
    model = json_format.Parse(Path(source).read_text(encoding="utf-8"), onnx.ModelProto())
    Path(target).write_bytes(model.SerializeToString())


def lxml_parse(source: str) -> None:
    """The elements of an XML file, one after the other, and no more: what a reader of it does at least."""
    for _, element in etree.iterparse(source):
        element.clear()
