"""Losses of two views without negatives."""
