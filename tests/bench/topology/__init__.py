"""Compares ways to serve five priorities in two tiers: latency, throughput, inversions."""
