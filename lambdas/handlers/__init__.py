"""One module per Task state, named after it: parse, gather, decide, act, return."""
