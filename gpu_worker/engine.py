"""The worker's handle on its model process: start, task, cancel, recycle."""

import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from gpu_worker import model_process
from gpu_worker.busy import BusyShare
from gpu_worker.channel import (
    Analysed,
    Answer,
    Broken,
    ModelNames,
    Progress,
    Ready,
    Rejected,
    Separated,
    Task,
    Unavailable,
)
from gpu_worker.errors import EngineError, ModelUnavailableError, UnsuitableAudioError

POLL_SECONDS = 0.2


class CancelledError(Exception):
    """The work was stopped because `should_stop` said so."""


class Engine:
    """Runs songs through the model process, which is loaded once and serves many.

    The process is started again after a cancel, a crash, running out of memory, and every
    `recycle_after` songs, since libraries leak.
    """

    def __init__(self, *, models: ModelNames, recycle_after: int) -> None:
        self._models = models
        self._recycle_after = recycle_after
        self.separating = BusyShare()
        self._songs = 0
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None
        self._ready: Ready | None = None

    @property
    def has_gpu(self) -> bool:
        """Whether the model is loaded, and on a GPU."""
        return self._ready is not None and self._ready.device != "cpu"

    def start(self) -> None:
        """Start the model process if it does not run; the model loads in the background."""
        if self._process and self._process.is_alive():
            return
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(target=_child, args=(theirs, self._models), name="model")
        self._process.start()
        theirs.close()
        self._ready = None
        self._songs = 0

    def wait_ready(self, should_stop: Callable[[], bool]) -> Ready:
        """Wait for the model.

        Raises
        ------
        ModelUnavailableError
            If its weights can't be had.
        EngineError
            If the process died.
        CancelledError
            If `should_stop` became true meanwhile.
        """
        self.start()
        if self._ready is None:
            answer = self._receive(should_stop)
            if isinstance(answer, Unavailable):
                raise ModelUnavailableError(answer.reason)
            assert isinstance(answer, Ready)
            self._ready = answer
        return self._ready

    def process(
        self, task: Task, *, on_answer: Callable[[Answer], None], should_stop: Callable[[], bool]
    ) -> Analysed:
        """Run one task; `on_answer` sees every answer on the way.

        Raises
        ------
        UnsuitableAudioError
            If the file can't be taken.
        EngineError
            If the process failed or died; another try may succeed.
        CancelledError
            If `should_stop` became true; the process is gone then.
        """
        self.wait_ready(should_stop)
        assert self._connection is not None
        self._connection.send(task)
        try:
            while True:
                answer = self._receive(should_stop)
                if isinstance(answer, Rejected):
                    raise UnsuitableAudioError(answer.reason)
                if isinstance(answer, Broken):
                    raise EngineError(answer.reason)
                assert not isinstance(answer, Ready | Unavailable), "the model is loaded once"
                if isinstance(answer, Progress) and answer.step == "Separating":
                    self.separating.begin()
                elif isinstance(answer, Separated):
                    self.separating.end()
                on_answer(answer)
                if isinstance(answer, Analysed):
                    return answer
        except (UnsuitableAudioError, EngineError):
            raise
        except BaseException:
            self.stop()  # a song is still under way in there
            raise
        finally:
            self.separating.end()
            self._songs += 1
            if self._songs >= self._recycle_after:
                self.stop()

    def stop(self) -> None:
        """End the model process at once."""
        if self._connection:
            self._connection.close()
        if self._process:
            self._process.kill()
            self._process.join()
        self._process = self._connection = self._ready = None

    def _receive(self, should_stop: Callable[[], bool]) -> Answer | Ready | Unavailable:
        assert self._connection is not None and self._process is not None
        while not self._connection.poll(POLL_SECONDS):
            if should_stop():
                self.stop()
                raise CancelledError
        try:
            answer: Answer | Ready | Unavailable = self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode
            self.stop()
            raise EngineError(f"The model process died (exit code {code}).") from None
        return answer


def _child(connection: Connection, models: ModelNames) -> None:
    model_process.exit_with_parent()
    model_process.run(connection, models)
