"""Logs to try things on: two that ship with the package, and a simulated shop whose truth is known."""

from __future__ import annotations

from journeykit.datasets.omnichannel import SimulatedOmnichannel, simulate_omnichannel
from journeykit.datasets.planted import ShopTruth
from journeykit.datasets.shipped import access_log, shop
from journeykit.datasets.simulation import SimulatedShop, simulate_shop

__all__ = [
    "ShopTruth",
    "SimulatedOmnichannel",
    "SimulatedShop",
    "access_log",
    "shop",
    "simulate_omnichannel",
    "simulate_shop",
]
