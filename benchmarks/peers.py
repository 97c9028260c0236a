"""What other tools do with the same files; each function imports what it needs, so that nobody pays for another."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

_CHUNK = 1 << 22


def copy(source: str, target: str) -> None:
    subprocess.run(["cp", source, target], check=True)


def copy_to_disk(source: str, target: str) -> None:
    subprocess.run(["cp", source, target], check=True)
    subprocess.run(["sync", target], check=True)


def sha256(source: str) -> None:
    digest = hashlib.sha256()
    with Path(source).open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)


def onnx_load_save(source: str, target: str) -> None:
    import onnx

    onnx.save(onnx.load(source), target)


def protobuf_to_json(source: str, target: str) -> None:
    import onnx
    from google.protobuf import json_format

    Path(target).write_text(json_format.MessageToJson(onnx.load(source)), encoding="utf-8")


def protobuf_from_json(source: str, target: str) -> None:
    import onnx
    from google.protobuf import json_format

    model = json_format.Parse(Path(source).read_text(encoding="utf-8"), onnx.ModelProto())
    Path(target).write_bytes(model.SerializeToString())


def networkx_write(source: str, target: str) -> None:
    """The operators and their edges only, which is less than what is in a model."""
    import networkx
    import onnx

    graph: networkx.MultiDiGraph[int] = networkx.MultiDiGraph()
    makers: dict[str, int] = {}
    for index, node in enumerate(onnx.load(source).graph.node):
        graph.add_node(index, name=node.name, op_type=node.op_type, inputs=",".join(node.input))
        for value in node.input:
            if value in makers:
                graph.add_edge(makers[value], index, tensor_name=value)
        makers |= dict.fromkeys(node.output, index)
    networkx.write_graphml_lxml(graph, target)


def networkx_read(source: str) -> None:
    import networkx

    networkx.read_graphml(source, force_multigraph=True)
