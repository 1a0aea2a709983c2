"""``python -m harebell_operator``."""

from harebell_crds.lean import without_synchronous_client

without_synchronous_client()

from .main import main  # noqa: E402 - imports the Kubernetes client

main()
