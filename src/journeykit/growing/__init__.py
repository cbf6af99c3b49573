"""A store that grows: new events are put where their users are, and only what changed is counted again."""

from __future__ import annotations

from journeykit.growing.opened import Store, open_store

__all__ = ["Store", "open_store"]
