"""Long runs of hostile input and of kills: ``python -m tests.campaign TARGET --count N --seed S``.

Each execution is made from its number alone, so that a failure can be made again: ``--seed NUMBER --count 1``.
"""
