"""Files that a model needs beside it without being external data: the compiled contexts of onnxruntime's EPContext.

Source: onnxruntime, docs/execution-providers/EP-Context-Design.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from graphml_onnx.codec.module_facts import with_bodies
from graphml_onnx.support.notices import Notice, quoted

if TYPE_CHECKING:
    import onnx

_TYPE = b"EPContext"
_SHOWN = 8  # files


def companions_of(model: onnx.ModelProto, skeleton: bytes) -> tuple[Notice, ...]:
    """One finding that names the companion files of a model, or none.

    Args:
        model: the exact message.
        skeleton: what it was parsed from.
    """
    if _TYPE not in skeleton:
        return ()
    nodes = (*model.graph.node, *(node for function in model.functions for node in function.node))
    found = (_file_of(node) for node in with_bodies(nodes) if cast("bytes", node.op_type) == _TYPE)
    files = dict.fromkeys(file for file in found if file)
    if not files:
        return ()
    more = f" and {len(files) - _SHOWN} more" if len(files) > _SHOWN else ""
    names = ", ".join(map(quoted, [*files][:_SHOWN]))
    text = f"the model needs files beside it that are not external data, and that are not copied: {names}{more}"
    return (Notice("companion-files", text),)


def _file_of(node: onnx.NodeProto) -> str | None:
    """The file of a context; None if it is embedded in the model, which is the default."""
    attributes = {cast("bytes", attribute.name): attribute for attribute in node.attribute}
    mode = attributes.get(b"embed_mode")
    context = attributes.get(b"ep_cache_context")
    if mode is None or mode.i != 0 or context is None:
        return None
    return context.s.decode("utf-8", "replace")
