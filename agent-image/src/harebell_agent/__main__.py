"""``python -m harebell_agent``."""

from .main import main

main()
