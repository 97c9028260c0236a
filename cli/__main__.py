"""Lets ``python -m graphml_onnx.cli`` do what ``g2o`` does."""

import sys

from .main import run

if __name__ == "__main__":
    sys.exit(run())
