"""``python -m harebell_agent``."""

import signal
import sys

# As the first process of a container it would not be ended by a signal that nobody handles yet.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

from .main import main  # noqa: E402 - takes long enough to be told to stop meanwhile

main()
