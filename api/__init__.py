"""The backend: it validates, commits, publishes and reports; it never creates workloads itself."""
