"""Runs two models on the same random inputs and compares their outputs (needs onnxruntime)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphml_onnx.inputs.made import RECORDED_INPUTS, CannotRunError, check_names, first_run, recorded_specs, sized
from graphml_onnx.results import Check
from graphml_onnx.running.sessions import open_session, run

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from graphml_onnx.inputs.specs import InputSpec


def compare_outputs(
    original: Path, copy: Path, specs: Mapping[str, InputSpec] | None = None, sizes: Mapping[str, int] | None = None
) -> Check:
    """Runs both models and compares their outputs, NaN included.

    Inputs follow the specs, then what the exporter recorded in the model, then the shapes that the model declares.
    Dynamic dimensions get the first of a few sizes with which the model runs.

    Args:
        original: an ONNX file.
        copy: another one.
        specs: descriptions of some or all inputs, by name.
        sizes: sizes of dynamic dimensions by their names, for the others.

    Returns:
        A check named ``numeric``. It is skipped, with the reason, if onnxruntime cannot run the original.

    Raises:
        UsageError: onnxruntime is not installed, or the specs name an input that does not exist.
    """
    try:
        session = open_session(original)
        values = [sized(value, sizes or {}) for value in session.get_inputs()]
        check_names([value.name for value in values], specs or {})
        recorded = recorded_specs(session.get_modelmeta().custom_metadata_map.get(RECORDED_INPUTS, "[]"), values)
        feed, before = first_run(values, recorded | dict(specs or {}), lambda feed: run(session, feed))
    except CannotRunError as error:
        return cannot_run(error)
    try:
        after = run(open_session(copy), feed)
    except CannotRunError as error:
        return Check("numeric", passed=False, detail=f"onnxruntime cannot run the decoded model: {error}")
    differing = [str(index) for index, (a, b) in enumerate(zip(before, after, strict=True)) if not same(a, b)]
    detail = f"outputs {', '.join(differing)} differ" if differing else f"{len(before)} outputs are equal"
    return Check("numeric", passed=not differing, detail=detail)


def cannot_run(reason: object) -> Check:
    """The check where there is nothing to compare with."""
    return Check("numeric", passed=False, skipped=True, detail=f"onnxruntime cannot run the model itself: {reason}")


def same(left: object, right: object) -> bool:
    """Whether two outputs of onnxruntime are equal, NaN included; arrays must have the same type."""
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(same(a, b) for a, b in zip(left, right, strict=True))
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, np.ndarray) and isinstance(right, np.ndarray):
        is_float = np.issubdtype(left.dtype, np.inexact)
        return left.dtype == right.dtype and np.array_equal(left, right, equal_nan=is_float)
    return left == right
