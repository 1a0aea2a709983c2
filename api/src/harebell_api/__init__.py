"""REST and WebSocket over the resources."""
