"""The critical path: the longest chain of operators that wait for each other.

Usage: python examples/critical_path.py MODEL_OR_GRAPHML
"""

import sys

import networkx as nx
from command_line import arguments

from graphml_onnx import to_networkx

(path,) = arguments(__doc__, 1, 1)
graph = to_networkx(path)
operators = graph.copy()
operators.remove_nodes_from([node for node, kind in graph.nodes(data="kind") if kind != "op"])

if not operators:
    sys.exit("the model has no operators")
longest = nx.dag_longest_path(operators)
print(f"{len(longest)} of {len(operators)} operators run one after the other:")
for node in longest:
    data = graph.nodes[node]
    print(f"  {data['op_type']:<18} {data.get('name', '')}")

# What could run at the same time: operators that are equally many steps away from the inputs.
widest = max(nx.topological_generations(operators), key=len)
print(f"at most {len(widest)} operators are equally far from the inputs")
