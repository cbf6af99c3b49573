"""Stages carried along paths, visits and moves between them."""
