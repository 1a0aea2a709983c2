"""The command: does what its command line says, and ends with a status that says what became of it."""

import os
import sys
from collections.abc import Sequence
from contextlib import suppress

from .errors import CommandError
from .exits import FAILED, INTERRUPTED, REFUSED
from .parser import root
from .session import Connecting, Session
from .text import note

_DEBUG = "HAREBELL_DEBUG"


def main(arguments: Sequence[str] | None = None, connecting: Connecting | None = None) -> int:
    """Do what the command line says and return the exit status, see :mod:`.exits`.

    :raises SystemExit: with the status 2, the command line is wrong; with 0, help was asked for.
    """
    refused = REFUSED
    try:
        asked = root().parse_args(arguments)
        refused = getattr(asked, "refused", REFUSED)
        status: int = asked.act(Session(asked, connecting), asked)
        sys.stdout.flush()
    except CommandError as error:
        note(f"harebell: {error}")
        return refused
    except KeyboardInterrupt:
        note("harebell: interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read has gone, and what is still to be written at exit must not complain.
        with suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except Exception as error:
        if os.environ.get(_DEBUG):
            raise
        note(
            f"harebell: something is wrong with this command itself: {type(error).__name__}: {error}\n"
            f"With {_DEBUG}=1 it says where."
        )
        return refused
    return status
