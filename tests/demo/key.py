"""Prints the API key of the demonstration's release."""

import sys

from tests.cluster import api
from tests.support.release import find

from .story import NAMESPACE, RELEASE

if __name__ == "__main__":
    try:
        print(find(api.get(), RELEASE, NAMESPACE).api_key)
    except LookupError as error:
        sys.exit(str(error))
