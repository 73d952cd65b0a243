"""Metrics and their unbiased estimators, policy value, comparison with a randomised slice."""
