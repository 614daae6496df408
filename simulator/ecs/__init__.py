"""The simulated ECS and ECR: services and tasks that live in virtual time."""
