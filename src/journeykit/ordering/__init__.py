"""From rows in the order of the log to events ordered by user and time: ids, names, positions."""
