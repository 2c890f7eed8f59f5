"""Strategies whose loss pushes other images away."""
