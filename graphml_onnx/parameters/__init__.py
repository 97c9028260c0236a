"""Payloads and their store: a sidecar file, base64 in the GraphML, or the model file itself."""
