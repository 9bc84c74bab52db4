"""``python -m corvids``: the ``corvids`` command where its script is not on the path."""

import sys

from corvids.cli import main

if __name__ == "__main__":
    sys.exit(main())
