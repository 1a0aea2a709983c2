"""harebell's contract with Kubernetes.

The resource models (:mod:`.task`, :mod:`.agent`, :mod:`.pool`, :mod:`.announcement`, :mod:`.bus`), the
conditions they share (:mod:`.conditions`) and the generator that turns them into structural
CustomResourceDefinitions (:mod:`.generate`). :mod:`.lean` is for those who serve them.
"""

GROUP = "harebell.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
CATEGORY = "harebell"
