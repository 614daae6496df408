"""Figures about the product, measured anew at each run: ``make bench``."""
