"""Plain Python words of the field, free of wires, tables and libraries."""
