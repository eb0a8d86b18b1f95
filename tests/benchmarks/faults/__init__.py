"""A seeded campaign of kills, malformed input, tampering and bad luck: nothing false passes, nothing fails in silence."""
