"""Sessions, and walks along paths: moves, stretches, steps, shapes."""
