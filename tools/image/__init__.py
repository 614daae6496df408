"""Builds the image without docker and proves what it promises: ``python -m tools.image.check``."""
