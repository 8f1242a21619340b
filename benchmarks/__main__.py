"""Run every benchmark: `python -m benchmarks`. Each runs alone, too: `python -m benchmarks.mnist_step --help`.

Needs the extra `bench`, `python -m pip install -e ".[bench]"`; a peer that is not installed is left out.
"""

import subprocess
import sys

from benchmarks import BENCHMARKS

if sys.argv[1:]:  # --help, above all
    sys.exit(__doc__)
for name in BENCHMARKS:
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
