"""The checks behind ``make verify``: ``python -m tests.verify``."""
