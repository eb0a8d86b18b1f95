"""Corruptions of test images after Hendrycks & Dietterich 2019: the table of kinds, and what each does to pixels."""
