"""What may be shared of the people in a log."""
