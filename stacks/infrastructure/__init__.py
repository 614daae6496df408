"""Stage 2: what workloads run on and are watched by, one stack a file."""
