"""The SDK people write agents with, and the built-in agent."""
