"""Recognises GraphML of the earlier formats 1.1 to 1.3, and reads it if it has all that a model needs."""
