"""Decodes a graph: records, payloads, output."""
