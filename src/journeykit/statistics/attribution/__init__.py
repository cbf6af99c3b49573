"""Which touches earned a conversion."""
