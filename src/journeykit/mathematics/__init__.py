"""What needs no events: intervals, differences, many tests at once, absorbing chains."""
