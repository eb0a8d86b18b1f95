"""`edgecheck.yaml` -> Plan."""
