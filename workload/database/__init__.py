"""The schema of the PostgreSQL database, as numbered SQL files, and what applies them."""
