"""Contract records: what AWS has answered, and what the product makes of it."""
