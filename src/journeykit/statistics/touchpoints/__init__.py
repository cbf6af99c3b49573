"""Touchpoints and the channels that they are on."""
