"""Exit statuses, each with what it means."""

DONE = 0
FAILED = 1
"""Asked for and not so: a Task that did not succeed, something that could not be done."""
REFUSED = 2
"""A wrong command line, or a request that was refused or not answered: no word on how a Task ended."""
TIMED_OUT = 124
"""As ``timeout(1)`` ends."""
INTERRUPTED = 130
"""By Ctrl-C: 128 and the number of the signal, as shells say it."""
