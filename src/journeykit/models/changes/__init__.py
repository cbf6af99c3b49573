"""What a change of some moves would be worth."""
