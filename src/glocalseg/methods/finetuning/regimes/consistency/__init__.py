"""Regimes in which a teacher, the average of the network's past, is to be agreed with on unlabelled slices."""
