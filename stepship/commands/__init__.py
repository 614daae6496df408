"""One file per command: what it gathers, does and says. The options stand in ``stepship/cli/main.py``."""
