"""What only AWS can say: of facts without a source, of the definition, of policies."""
