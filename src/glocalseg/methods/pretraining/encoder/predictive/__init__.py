"""Strategies that guess what was done to an image, or what of it was taken away."""
