"""Models in onnxruntime: sessions with any tensor as an output, two models compared, time by module."""
