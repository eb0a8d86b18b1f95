"""The report of a sweep: tables, findings and charts from records. Nothing here reads or writes a file."""
