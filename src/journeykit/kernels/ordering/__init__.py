"""From rows in input order to events by user and time; ids told apart and joined."""
