"""Starts the worker: `python -m gpu_worker`."""

import sys

# The model process imports this module again: it must not pay for the worker's imports.
if __name__ == "__main__":
    from gpu_worker.main import main

    sys.exit(main())
