"""Fault exploration: break a deployment everywhere it can break, and examine the world after each time."""
