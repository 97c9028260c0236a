"""Encodes a model: prepare, payloads, write, check, publish."""
