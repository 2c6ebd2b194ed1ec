"""Run a service whose clock is wrong: python -m tests.faults.shifted <module> <milliseconds>.

Called by   tests/faults/test_clock.py, as a process
What        SystemClock, the one way in which a service asks what time it is, says so much more or less
"""

import importlib
import sys

from shared.service.clock import SystemClock


def main() -> None:
    """Shift the clock, then be the service."""
    module, shift_ms = sys.argv[1], int(sys.argv[2])
    right = SystemClock.now_ms
    SystemClock.now_ms = lambda self: right(self) + shift_ms  # type: ignore[method-assign]
    importlib.import_module(module).main()


if __name__ == "__main__":
    main()
