"""Become another program that ends when its parent does: `die_with_parent.py PARENT PROGRAM …`.

For programs that do not watch a pipe themselves. Linux only; elsewhere the program is found by its
record at the platform's next start.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # prctl(2); the setting survives exec


def main() -> None:
    """Ask the kernel for a signal at the parent's death, then exec."""
    parent, program = int(sys.argv[1]), sys.argv[2]
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            sys.exit("The parent ended before its death could be watched.")
    os.execv(program, sys.argv[2:])  # noqa: S606  (exec is the purpose)


if __name__ == "__main__":
    main()
