"""The application behind `mnist_fcn.py` and `mnist_search.py`: everything that is not the network and its training.

    application.py         what `mnist_fcn.py` does with its options: train, test, predict
    training.py            one training: progress, checkpoints, results in files after every epoch
    record.py              the settings and metrics that are saved beside the weights
    models.py              saved models
    evaluation.py          a model on a test set: table, pictures and report
    search_application.py  what `mnist_search.py` does with its options
    candidates.py          the trainings of a search, side by side
    workers.py             the processes that they run in
    search_results.py      tables, pictures and report of a search
    figures.py             all pictures
    report.py              HTML pages
    digits.py              image files as MNIST images
    draw.py                a page to draw on, with draw.html, draw.css and draw.js
    environment.py         versions, threads and processor
    command_line.py        options, messages and exit codes
    folders.py             folders for results

Importing it checks that the packages are installed that every module needs.
"""

import importlib.util
import sys
from pathlib import Path

INSTALL = 'python -m pip install -e ".[examples]"'


def require(*packages: str) -> None:
    """Exit with one line that names the packages that are not installed, if there are any, and how to install them."""
    if missing := [name for name in packages if importlib.util.find_spec(name) is None]:
        sys.exit(f"{Path(sys.argv[0]).name} needs {', '.join(missing)}: {INSTALL}")


require("matplotlib", "PIL", "threadpoolctl", "tqdm")  # before the modules below import them
