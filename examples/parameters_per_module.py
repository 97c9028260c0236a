"""How many parameters the operators of a module use, those of the modules in it included.

Usage: python examples/parameters_per_module.py MODEL_OR_GRAPHML [DEPTH]
"""

import sys
from math import prod

from graphml_onnx import to_networkx

graph = to_networkx(sys.argv[1])
deepest = int(sys.argv[2]) if len(sys.argv) > 2 else 2

(model,) = (data for _, data in graph.nodes(data=True) if data["kind"] == "model")
sizes = {tensor["name"]: prod(tensor.get("dims", [])) for tensor in model["initializers"]}

used: dict[str, set[str]] = {}  # sets: a tensor that several operators of a module share counts once
for _, data in graph.nodes(data=True):
    if data["kind"] == "op":
        parent = data["parent"]
        while parent in graph:
            used.setdefault(parent, set()).update(sizes.keys() & set(data["inputs"]))
            parent = graph.nodes[parent].get("parent")

for node, data in graph.nodes(data=True):
    tag = data.get("hierarchy_tag", "")
    if node in used and tag.count("/") <= deepest:
        print(f"{sum(sizes[name] for name in used[node]):>8,}  {tag or 'the whole model'}")
