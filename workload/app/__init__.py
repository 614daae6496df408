"""The reference workload: pools of two decentralised exchanges, as an API, a worker, a scheduler and a migration."""
