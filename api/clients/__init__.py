"""The outside world: one third-party system per module."""
