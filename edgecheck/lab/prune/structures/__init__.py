"""The functions of each structure, one file per structure; the table is `edgecheck.pruning.structures`."""
