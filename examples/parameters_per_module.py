"""How many parameters the operators of a module use, those of the modules in it included.

Usage: python examples/parameters_per_module.py MODEL_OR_GRAPHML [DEPTH]
"""

from command_line import arguments

import graphml_onnx

path, *rest = arguments(__doc__, 1, 2)
deepest = int(rest[0]) if rest else 2

with graphml_onnx.open(path) as graph:
    for module in graph.root.walk():
        inputs = (tensor for operator in module.all_operators() for tensor in operator.inputs if tensor is not None)
        # By name, so that a parameter that several operators of a module share counts once.
        used = {tensor.name: tensor.parameter.size for tensor in inputs if tensor.parameter is not None}
        tag = module.tag or ""
        if used and tag.count("/") <= deepest:
            print(f"{sum(used.values()):>8,}  {tag or 'the whole model'}")
