"""What people see: rows, lines, tables and explanations, live or plain."""
