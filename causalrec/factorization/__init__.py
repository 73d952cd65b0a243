"""Matrix factorisation trained on scores of a biased log."""
