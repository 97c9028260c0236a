"""The critical path: the longest chain of operators that wait for each other.

Usage: python examples/critical_path.py MODEL_OR_GRAPHML
"""

import sys

import networkx as nx

from graphml_onnx import to_networkx

graph = to_networkx(sys.argv[1])
operators = graph.copy()
operators.remove_nodes_from([node for node, kind in graph.nodes(data="kind") if kind != "op"])

path = nx.dag_longest_path(operators)
print(f"{len(path)} of {len(operators)} operators run one after the other:")
for node in path:
    data = graph.nodes[node]
    print(f"  {data['op_type']:<18} {data.get('name', '')}")

# What could run at the same time: operators that are equally many steps away from the inputs.
widest = max(nx.topological_generations(operators), key=len)
print(f"at most {len(widest)} operators are equally far from the inputs")
