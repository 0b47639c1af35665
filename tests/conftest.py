"""One thread a process: tests run two at a time, and threads that wait for a busy core wait very long."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
