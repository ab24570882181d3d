"""Networks on whole studies: windows, labels from logits, and models of other makers run as they were meant."""
