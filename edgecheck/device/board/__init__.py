"""The sensors of a board: temperature, clock, throttling, energy, and the execution provider of each node.

Everything is read below a root folder, `/` by default, so that a test can plant a tree of its own.
"""
