"""Regimes in which a second network judges what the first one makes of unlabelled slices."""
