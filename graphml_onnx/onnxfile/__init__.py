"""An ONNX file as bytes: payload spans, the skeleton without them, external data files. Nothing here knows XML."""
