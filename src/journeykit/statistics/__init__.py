"""The questions: one module per statistic, beside what they share.

``base`` has the classes that every statistic is made of; ``counting``, ``cleaning``, ``units``, ``distribution`` and
``checks`` are tools; the others are statistics and their answers.
"""
