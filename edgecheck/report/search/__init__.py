"""The page of a search: the path taken, the frontier, and why nothing smaller passes."""
