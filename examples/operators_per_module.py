"""How many operators of each type a module has, those of the modules in it included.

Usage: python examples/operators_per_module.py MODEL_OR_GRAPHML [DEPTH]
"""

from collections import Counter

from command_line import arguments

from graphml_onnx import to_networkx

path, *rest = arguments(__doc__, 1, 2)
graph = to_networkx(path)
deepest = int(rest[0]) if rest else 2

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
