"""`python -m litewrite`."""

import sys

from litewrite.cli import main

if __name__ == "__main__":
    sys.exit(main())
