"""The round trip of a model as a check."""
