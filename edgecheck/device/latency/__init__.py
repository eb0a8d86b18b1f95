"""How long one inference takes: sampling, stopping, stability."""
