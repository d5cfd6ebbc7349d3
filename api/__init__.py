"""The backend: it validates, commits, publishes and reports; it never creates workloads itself."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("fastapi-platform")
except PackageNotFoundError:  # run from a checkout, without being installed
    __version__ = "0.1.0"
