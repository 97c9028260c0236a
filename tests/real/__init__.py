"""The gate of real models, ``make real`` or ``python -m tests.real``: every one comes back in every way."""
