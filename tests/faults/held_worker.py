"""The worker, whose model stands still in the middle of a step: so no machine is too fast for a test.

The model freezes itself in the first song that comes to the step HELD_AT, and leaves the file HELD; the
worker itself runs on.
"""

import os
import signal
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from gpu_worker import model_process
from gpu_worker.channel import ModelNames, Progress

run = model_process.run


class Holding:
    """A connection that stops its process once the step has been told; separation is told as it goes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.recv = connection.recv

    def send(self, answer: Any) -> None:
        self._connection.send(answer)
        mark = Path(os.environ["HELD"])
        is_there = isinstance(answer, Progress) and answer.step == os.environ["HELD_AT"]
        if is_there and (answer.step != "Separating" or 0 < answer.share < 1) and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGSTOP)


def run_holding(connection: Connection, models: ModelNames) -> None:
    run(Holding(connection), models)  # type: ignore[arg-type]


model_process.run = run_holding  # in the model's process too, which imports this module again

if __name__ == "__main__":
    from gpu_worker.main import main

    sys.exit(main())
