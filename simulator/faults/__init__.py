"""What goes wrong in AWS: the record of all calls, the faults that hit them, and the quotas."""
