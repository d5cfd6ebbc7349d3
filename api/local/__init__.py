"""The embedded stand-in for a cluster, for a laptop: it runs apps, and says that it does not isolate them."""
