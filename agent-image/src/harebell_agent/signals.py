"""The signals that end the agent, kept from processes that its actions fork."""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from typing import Final

_ENDING: Final = (signal.SIGTERM, signal.SIGINT)

_handled = False
_registered = False
_forking = threading.local()


def handle(told: Callable[[], None]) -> None:
    """Have ``told`` called, on the running event loop, at each signal that is to end the agent.

    A forked process has the handlers of its parent, and writes into the same pipe. Told to end, as by
    ``multiprocessing.Process.terminate()``, it would go on, and its parent would end in its place.
    """
    global _handled, _registered
    if not _registered:
        os.register_at_fork(before=_hold, after_in_parent=_let, after_in_child=_in_child)
        _registered = True
    loop = asyncio.get_running_loop()
    for number in _ENDING:
        loop.add_signal_handler(number, told)
    _handled = True


def leave() -> None:
    """Have the signals end the process, as they do by themselves."""
    global _handled
    loop = asyncio.get_running_loop()
    for number in _ENDING:
        loop.remove_signal_handler(number)
    _handled = False


def _hold() -> None:
    """Hold signals back: one that the child gets at once must not find its parent's handler."""
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)


def _let() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _in_child() -> None:
    if _handled:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _let()
