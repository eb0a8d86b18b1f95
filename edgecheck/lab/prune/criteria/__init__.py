"""The functions of each criterion, one file per criterion; the table is `edgecheck.pruning.criteria`."""
