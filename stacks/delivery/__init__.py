"""The pipelines of an environment, and what both consist of."""
