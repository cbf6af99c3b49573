"""How often a pattern happens, and what comes next."""
