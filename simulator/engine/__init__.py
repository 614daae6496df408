"""moto, its Step Functions interpreter and local Lambda functions, in virtual time."""
