"""A scenario: its file read, played, and compared with what it expects."""
