"""The stacks, one per file. Infrastructure goes out by these; code goes out by the state machine alone."""
