"""GraphML as XML: elements, reader, writer, and text that survives both. Nothing here knows ONNX."""
