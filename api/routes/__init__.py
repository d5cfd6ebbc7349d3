"""Speaks HTTP: parses a request, calls one use case, shapes the answer."""
