"""Measurements behind decisions, runnable again."""
