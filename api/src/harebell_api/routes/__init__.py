"""Routes: each takes a request apart, hands it on, and returns what comes back."""
