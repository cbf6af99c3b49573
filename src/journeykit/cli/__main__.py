"""``python -m journeykit.cli``."""

from journeykit.cli import main

main()
