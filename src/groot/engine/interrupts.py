"""Ctrl-C and SIGTERM: finish the step, save, leave. A second one leaves at once."""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from accelerate import Accelerator

log = logging.getLogger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupt:
    """A flag that recipes look at between steps; see `catch_interrupts`."""

    def __init__(self) -> None:
        self.signal_number: int | None = None

    @property
    def requested(self) -> bool:
        """Whether this process was asked to stop."""
        return self.signal_number is not None

    def requested_anywhere(self, accelerator: Accelerator) -> bool:
        """Whether any process was asked to stop: the same answer on all, which must all ask.

        Processes that stopped at different steps would wait for each other for ever.
        """
        if accelerator.num_processes == 1:
            return self.requested
        import torch  # here, so that catching signals costs no second of start

        number = torch.tensor(self.signal_number or 0, device=accelerator.device)
        highest = int(accelerator.gather(number.reshape(1)).max())
        self.signal_number = highest or None
        return self.requested

    @property
    def exit_code(self) -> int:
        """128 and the signal: 130 for Ctrl-C, 143 for SIGTERM; 0 where nobody asked."""
        return 0 if self.signal_number is None else 128 + self.signal_number

    def leave(self) -> NoReturn:
        """End the program with the exit code, without a traceback. Save first."""
        raise SystemExit(self.exit_code)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self.requested:  # the second one: no clean-up, no traceback
            os._exit(128 + number)
        self.signal_number = number
        name = signal.Signals(number).name
        log.warning("%s: finishing the step and saving. Once more leaves at once.", name)


@contextmanager
def catch_interrupts() -> Iterator[Interrupt]:
    """Inside the block Ctrl-C and SIGTERM only raise a flag; after it, they do as before.

    Signals can only be caught in the main thread; elsewhere the flag stays down.

    >>> with catch_interrupts() as interrupt:
    ...     interrupt.requested, interrupt.exit_code
    (False, 0)
    """
    interrupt = Interrupt()
    if threading.current_thread() is not threading.main_thread():
        yield interrupt
        return
    before = {number: signal.signal(number, interrupt._receive) for number in _SIGNALS}
    try:
        yield interrupt
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
