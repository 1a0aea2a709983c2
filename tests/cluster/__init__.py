"""A three-node Kubernetes cluster on this machine, from whatever state the machine is in."""
