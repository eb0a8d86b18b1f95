"""Measures on other machines over the system's OpenSSH client; stores no key, password or host."""
