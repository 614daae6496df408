"""The code that runs in AWS Lambda: one handler per Task state of the deployment's state machine."""
