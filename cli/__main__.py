"""Lets ``python -m graphml_onnx.cli`` do what ``g2o`` does."""

import os
import sys

# Python puts the current folder first: files there would otherwise replace packages.
if sys.path and sys.path[0] in ("", os.getcwd()):  # noqa: PTH109 - pathlib is not needed yet
    del sys.path[0]

from .main import run

if __name__ == "__main__":
    sys.exit(run())
