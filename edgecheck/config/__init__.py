"""Reading `edgecheck.yaml` into a `Plan`."""
