"""``python -m harebell_operator``."""

import signal
import sys

from harebell_crds.lean import without_synchronous_client

# As the first process of a container it would not be ended by a signal that nobody handles yet.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
without_synchronous_client()

from .main import main  # noqa: E402 - imports the Kubernetes client

main()
