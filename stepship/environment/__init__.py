"""What an environment is like now: drift, figures, tags, freezes, the open question."""
