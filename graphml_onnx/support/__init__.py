"""Helpers for every package: strict JSON, recognising files, progress."""
