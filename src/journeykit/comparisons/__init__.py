"""Two answers to one question side by side: segments, periods, and what a change is made of. DEFINITIONS D13."""
