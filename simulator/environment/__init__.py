"""One simulated environment: its services, its executions, and what must be true of it at rest."""
