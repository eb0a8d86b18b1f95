"""The stages of a run, one file each. A stage is a frozen record of all inputs of its computation."""
