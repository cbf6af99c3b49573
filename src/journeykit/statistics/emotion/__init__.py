"""Emotion: ratings, joined to the visits that they speak of."""
