"""Regimes that read labelled slices alone."""
