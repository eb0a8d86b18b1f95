"""What reports say together: what changed between two of them, and the trend over many. Reports in, records out."""
