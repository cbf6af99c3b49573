"""A log as it was read: rows with a user, a time and a name, checked, and what is known of their quality."""
