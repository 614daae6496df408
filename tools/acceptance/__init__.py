"""``make accept``: the proof that only an account can give. README.md has the story."""
