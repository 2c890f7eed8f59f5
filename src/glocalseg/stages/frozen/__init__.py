"""What frozen features need in the place of the usual stages: the features of a slice store, and a head on them."""
