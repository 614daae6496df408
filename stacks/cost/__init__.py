"""What an environment costs: the estimate from its config, the prices, the tables of the page."""
