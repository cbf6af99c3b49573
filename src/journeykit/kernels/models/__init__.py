"""What models count or fit in a pass over the events or moves."""
