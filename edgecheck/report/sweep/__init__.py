"""What a sweep tells: records in, tables, findings and charts out. Nothing here reads or writes a file."""
