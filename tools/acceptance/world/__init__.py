"""What a run makes in an account, and how it is found and destroyed again."""
