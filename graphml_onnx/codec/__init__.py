"""The symmetric pair: encoder and decoder, and the one table of fields that both use."""
