"""The command ``harebell``: makes, lists and revokes API keys.

It works with the kubeconfig and the rights of whoever calls it, and on the Secret of keys alone.
"""
