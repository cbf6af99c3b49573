"""What converters did differently from those who gave up, before they converted. DEFINITIONS D13.6, D13.7."""
