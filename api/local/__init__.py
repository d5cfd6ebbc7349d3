"""The embedded stand-in for a cluster: it runs apps on a laptop and does not isolate them."""
