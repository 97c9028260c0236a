"""Round trips of real models, fetched from published packages: ``python -m tests.corpus``."""
