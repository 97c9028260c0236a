"""Example inputs of a model: their description in JSON, as `export` and `verify` take it; knows nothing of torch."""
