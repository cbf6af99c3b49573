"""The ragged array behind journeys, parts of it, and how it looks from outside."""
