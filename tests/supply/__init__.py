"""What the product's images are made of: ``python -m tests.supply``."""
