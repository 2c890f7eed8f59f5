"""Weights that others trained, as a source like data: their cards, how they come here, and what stands for their bytes."""
