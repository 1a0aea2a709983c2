"""``python -m harebell_operator``."""

from .main import main

main()
