"""Stage 1: what deployments themselves need, one stack a file."""
