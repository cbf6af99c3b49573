"""Patterns over paths: where matches end, what they hold."""
