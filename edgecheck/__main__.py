"""`python -m edgecheck`."""

from edgecheck.cli.guard import main

if __name__ == "__main__":
    main()
