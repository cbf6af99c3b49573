"""Which state follows which."""
