"""Celery doing the same work. ``app`` and ``load`` run in an environment of their own, without harebell."""
