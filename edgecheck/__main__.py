"""`python -m edgecheck`."""

from edgecheck.cli import main

main()
