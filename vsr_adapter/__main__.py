"""`python -m vsr_adapter` is `vsr`."""

import sys

from vsr_adapter.cli import main

if __name__ == "__main__":
    sys.exit(main())
