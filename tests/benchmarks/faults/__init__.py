"""A seeded campaign of kills, malformed input, tampering and bad luck."""
