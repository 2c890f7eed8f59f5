"""Strategies without negatives: a momentum copy, or what is asked of the batch's statistics, keeps them from collapse."""
