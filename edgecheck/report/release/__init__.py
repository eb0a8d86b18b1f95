"""Release records as text: comparisons, histories, attestations, bills of materials, model cards."""
