"""Stage 3: what the application keeps, one stack a file."""
