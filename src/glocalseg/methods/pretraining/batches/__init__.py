"""What a batch of pretraining shows: which slices, which views, which parts of them."""
