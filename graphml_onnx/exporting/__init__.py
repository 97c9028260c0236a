"""Exports PyTorch models to ONNX, with HTP metadata and a report. Only this package needs torch."""
