"""Users: groups that move alike, what they are like, what they will do next."""
