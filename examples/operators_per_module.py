"""How many operators of each type a module has, those of the modules in it included.

Usage: python examples/operators_per_module.py MODEL_OR_GRAPHML [DEPTH]
"""

import sys
from collections import Counter

from graphml_onnx import to_networkx

graph = to_networkx(sys.argv[1])
deepest = int(sys.argv[2]) if len(sys.argv) > 2 else 2

counts: dict[str, Counter[str]] = {}
for _, data in graph.nodes(data=True):
    if data["kind"] == "op":
        parent = data["parent"]
        while parent in graph:  # the modules around the operator, up to the model, which has no parent
            counts.setdefault(parent, Counter())[data["op_type"]] += 1
            parent = graph.nodes[parent].get("parent")

for node, data in graph.nodes(data=True):
    tag = data.get("hierarchy_tag", "")
    if node in counts and tag.count("/") <= deepest:
        found = ", ".join(f"{op_type} {count}" for op_type, count in counts[node].most_common())
        print(f"{tag or 'the whole model'}: {counts[node].total()}\n  {found}")
