"""The command line: options, help, and which command a line calls."""
