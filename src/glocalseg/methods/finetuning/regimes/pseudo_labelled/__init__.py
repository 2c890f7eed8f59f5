"""Regimes in which a network's own labels of unlabelled slices are trained on."""
