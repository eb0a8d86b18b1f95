"""Warnings of documents that were written before warnings became data."""

from __future__ import annotations

SENTENCES = {"text": "{text}"}
