"""The command ``stepship``: what people and CI jobs type."""
