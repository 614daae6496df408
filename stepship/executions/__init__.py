"""Executions of the state machine: named, started, found, followed, reported."""
