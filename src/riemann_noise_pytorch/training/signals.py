"""Requests to stop: SIGTERM and Ctrl-C let the current step finish and the state be saved."""

import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any, final

SIGNALS = (signal.SIGINT, signal.SIGTERM)
PATIENCE_S = 2.0
"""A launcher may deliver one Ctrl-C twice; after this time, a second one is meant."""


@final
class StopRequest:
    """Remembers, within a ``with`` block, the first request to stop; a second one acts as it did before.

    Signals reach the main thread only: elsewhere the block changes nothing.

    Attributes:
        number: The number of the signal that came, or 0.
    """

    def __init__(self) -> None:
        self.number = 0
        self._since_s = 0.0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopRequest":
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._remember) for number in SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _remember(self, number: int, frame: FrameType | None) -> None:  # noqa: ARG002 - the signal module's form
        if self.number == 0:
            self.number, self._since_s = number, time.monotonic()
        elif time.monotonic() - self._since_s > PATIENCE_S:
            for each, handler in self._before.items():
                signal.signal(each, handler)
            signal.raise_signal(number)
