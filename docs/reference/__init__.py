"""Writes the documentation that is made of the code of several components."""
