"""``python -m harebell_api``."""

import sys

from .main import main

sys.exit(main())
