"""Whole paths, their pieces and their steps."""
