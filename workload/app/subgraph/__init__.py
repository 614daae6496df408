"""What the typed clients are generated from, and how: needed to build, not in the image."""
