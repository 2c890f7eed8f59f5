"""Trained networks that are handed on: exported as folders that stand alone, and used on images that nobody labelled."""
