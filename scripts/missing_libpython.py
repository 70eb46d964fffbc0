"""Print the package of the shared libpython, if this Python is Debian's and lacks it."""

import sys
from pathlib import Path

NAME = f"libpython{sys.version_info.major}.{sys.version_info.minor}"

if sys.base_prefix == "/usr" and not any(Path("/usr/lib").glob(f"**/{NAME}.so*")):
    print(NAME)
