"""The part of a model between two tensors: all operators on any way from the one to the other.

Usage: python examples/between_tensors.py MODEL_OR_GRAPHML FROM TO
"""

import sys

import networkx as nx
from command_line import arguments

from graphml_onnx import to_networkx

model, first, last = arguments(__doc__, 3, 3)
graph = to_networkx(model)

# Edges have the name of the tensor that flows along them: who consumes the first one, and who produces the last one?
consumers = {target for _, target, tensor in graph.edges(data="tensor_name") if tensor == first}
producers = {source for source, _, tensor in graph.edges(data="tensor_name") if tensor == last}
for tensor, ends in ((first, consumers), (last, producers)):
    if not ends:
        sys.exit(f"no edge carries the tensor {tensor!r}")
after = consumers.union(*(nx.descendants(graph, node) for node in consumers))
before = producers.union(*(nx.ancestors(graph, node) for node in producers))

part = graph.subgraph(after & before)
print(f"{len(part)} operators, {part.number_of_edges()} edges between them")
place = {node: number for number, node in enumerate(graph)}  # a subgraph has the order of a set
for node in nx.lexicographical_topological_sort(part, key=place.__getitem__):
    print(f"  {graph.nodes[node].get('op_type', ''):<8} {graph.nodes[node].get('name', '')}")
needed = {tensor for source, target, tensor in graph.edges(data="tensor_name") if target in part and source not in part}
print("needs too:", ", ".join(sorted(needed - {first})) or "nothing")
