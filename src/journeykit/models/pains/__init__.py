"""Where conversions are lost, and what goes with it."""
