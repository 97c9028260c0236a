"""Example inputs of a model: their description in JSON, or made for what the model declares; knows nothing of torch."""
