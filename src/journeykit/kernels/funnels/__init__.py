"""The machines of funnels: lists of events, runs through steps, what is counted of them."""
