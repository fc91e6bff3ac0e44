"""The HTTP API under /api/v1: its operations, their schemas, and the OpenAPI description made from both."""
