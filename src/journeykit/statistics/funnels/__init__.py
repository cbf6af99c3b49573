"""Funnels: steps by stated rules."""
