"""``python -m harebell_api``."""

import sys

from harebell_crds.lean import without_synchronous_client

without_synchronous_client()

from .main import main  # noqa: E402 - imports the Kubernetes client

sys.exit(main())
