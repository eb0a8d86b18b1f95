"""Measures the latency of one inference: sampling, stopping rule, stability."""
