"""Communities: groups of operators with many edges within and few between, beside the modules that they are in.

Usage: python examples/communities.py MODEL_OR_GRAPHML
"""

import sys
from collections import Counter

import networkx as nx
from command_line import arguments

from graphml_onnx import to_networkx

(path,) = arguments(__doc__, 1, 1)
graph = to_networkx(path)
operators = nx.Graph(graph)
operators.remove_nodes_from([node for node, kind in graph.nodes(data="kind") if kind != "op"])

if not operators.edges:
    sys.exit("no operator consumes what another one produces: there are no communities")
groups = nx.community.greedy_modularity_communities(operators)
print(f"modularity {nx.community.modularity(operators, groups):.2f} with {len(groups)} communities")
for group in groups:
    modules = Counter("/".join(graph.nodes[node].get("hierarchy_tag", "").split("/")[:4]) for node in group)
    module, count = max(modules.items(), key=lambda item: (item[1], item[0]))
    print(f"  {len(group):>3} operators, {count} of them in {module or 'no module'}")
