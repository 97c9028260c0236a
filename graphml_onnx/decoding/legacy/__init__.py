"""GraphML of the earlier formats 1.1 to 1.3: recognised, and read as far as it says what a model needs."""
