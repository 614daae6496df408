"""Stage 5: what people see."""
