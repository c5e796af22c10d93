"""Souk's generator: reads schemas/*.yaml, checks them, and writes C, OpenAPI, documentation and test vectors."""
