"""Serve one learner's app: `python runner/entrypoint.py`, in a pod and on a laptop alike.

The environment it is started with is in environment.py, the exit statuses are in failure.py. This
file is small because Python compiles a script at every start, and a module once.
"""

import gc
import os
import sys


def collect_as_usual(thresholds: tuple[int, int, int] = gc.get_threshold()) -> None:
    """What is loaded stays loaded: collections from here on need not look at it."""
    gc.freeze()
    gc.set_threshold(*thresholds)


if __name__ == "__main__":
    # Collecting garbage while modules are imported finds none and takes a tenth of the start.
    gc.set_threshold(100_000)
    from lifecycle import main

    status = main(collect_as_usual)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # threads that the app left running do not hold the process
