"""The core value: events in order of user and time, cut into sessions; its selections and its cleaning."""
