"""Experiments: arms that were assigned at random, and what their users did. DEFINITIONS D13."""
