"""The customer journey map, drawn from measured behaviour."""
