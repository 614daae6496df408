"""The deployment as an AWS Step Functions state machine, and the construct that deploys it."""
