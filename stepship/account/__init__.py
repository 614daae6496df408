"""What an account must have before stacks are created in it: looked at, and created where it may be."""
