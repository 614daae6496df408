"""Gateways: one module per AWS service. boto3 in, domain types and domain errors out."""
