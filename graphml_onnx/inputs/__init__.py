"""Example inputs of a model: described in JSON, or made from what the model declares; does not use torch."""
