"""Stage 4: what serves requests and does the work, one stack a file."""
