"""How units move through stages."""
