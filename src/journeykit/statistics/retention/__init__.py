"""Who comes back, and when."""
