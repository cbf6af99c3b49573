"""What a log holds."""
