"""Whether and when units reach a goal."""
