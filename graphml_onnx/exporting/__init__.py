"""PyTorch models as ONNX, with HTP metadata and a report; needs torch, which nothing else in the library does."""
