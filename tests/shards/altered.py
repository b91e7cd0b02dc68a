"""A change of the columns of a sharded table that stops at a point, so that it can be killed there."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from crash.forked import SERVE, serve

from shards.killed import alter

if __name__ == "__main__" and SERVE in sys.argv:
    serve(alter)
