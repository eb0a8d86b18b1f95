"""Release records of run folders: comparisons, histories, verification and attestations, a readable page each."""
