"""Small zoos of models for tests, and what is to hold of a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from onnx import TensorProto, helper, numpy_helper

import graphml_onnx

if TYPE_CHECKING:
    from pathlib import Path


def model(value: float, size: int = 400) -> bytes:
    """A model that adds a constant; larger ones have a payload."""
    weights = numpy_helper.from_array(np.full(size, value, np.float32), "w")
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [size])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [size])
    graph = helper.make_graph([helper.make_node("Add", ["x", "w"], ["y"])], "g", [x], [y], [weights])
    return helper.make_model(graph).SerializeToString()


def write(folder: Path, count: int) -> dict[str, bytes]:
    """Writes models in a tree of folders; gives their content by their names relative to the folder."""
    made = {f"group{number % 3}/m{number}.onnx": model(number) for number in range(count)}
    for name, data in made.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return made


def manifest(target: Path) -> dict[str, dict[str, object]]:
    """The rows of a manifest by the last part of their source."""
    import pyarrow.parquet as pq

    rows = pq.read_table(target / "manifest.parquet").to_pylist()
    found = {str(row["source"]).rpartition("/")[2]: row for row in rows}
    assert len(found) == len(rows)
    return found


def check_exact(target: Path, models: dict[str, bytes], scratch: Path) -> None:
    """Every model is in the target once, as graph and row, and comes back as it was; nothing else is there."""
    rows = manifest(target)
    assert {*rows} >= {name.rpartition("/")[2] for name in models}
    graphs = {path.relative_to(target / "graphs").as_posix() for path in (target / "graphs").rglob("*.graphml")}
    assert graphs == {name.removesuffix(".onnx") + ".graphml" for name in models}
    for name, data in models.items():
        row = rows[name.rpartition("/")[2]]
        assert row["result"] in ("done", "skipped"), row
        back = scratch / "back.onnx"
        graphml_onnx.decode(target / "graphs" / (name.removesuffix(".onnx") + ".graphml"), back, overwrite=True)
        assert back.read_bytes() == data
    assert not [path for path in target.rglob("*") if path.name.endswith("tmp") or path.parent.name == "manifest.rows"]
