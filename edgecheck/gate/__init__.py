"""The gate: sentences, noise floor, preconditions, verdicts."""
