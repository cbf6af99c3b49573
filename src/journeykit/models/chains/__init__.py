"""Markov chains of journeys: counted, fitted, solved, tested."""
