"""Mathematics on what was counted: chains, what a change would be worth. No events are read here."""
