"""Inspects files, this machine, and the names that gates use. Every module returns a `Listing`; nothing is judged."""
