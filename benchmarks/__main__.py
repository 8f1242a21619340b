"""Run all benchmarks: `python -m benchmarks`. To run only one, see `python -m benchmarks.mnist_step --help`.

They need the extra `bench`: `python -m pip install -e ".[bench]"`. Frameworks that are not installed are skipped.
"""

import subprocess
import sys

from benchmarks import BENCHMARKS

if sys.argv[1:]:  # mainly --help
    sys.exit(__doc__)
for name in BENCHMARKS:
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
