"""The linear passes: numba's only home.

Functions on plain arrays, each with a slow and obvious twin in ``tests/oracle.py``. They release the
interpreter's lock, so threads over ranges of users run them on all cores.
"""
