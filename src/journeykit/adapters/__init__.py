"""Readers of the exports of other tools: one module per tool says where things stand, `reading` does the rest."""
