"""Constructs that several stacks share."""
