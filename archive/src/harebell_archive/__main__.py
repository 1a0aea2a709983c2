"""``python -m harebell_archive``."""

from .main import main

main()
