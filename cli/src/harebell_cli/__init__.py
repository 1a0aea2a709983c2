"""The command ``harebell``, also ``kubectl harebell``: Tasks, agents and API keys from a shell.

It works with the kubeconfig and the rights of whoever calls it, on the resources and the Secret of keys. Each
command has a module with its options and what it does, which loads libraries when it is called.
What it decides, and how that is said, are pure functions in modules of their own, such as :mod:`.changes`,
:mod:`.news` and :mod:`.explanation`. :mod:`.resources` speaks to the API server.
"""
