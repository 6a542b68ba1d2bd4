"""The worker's handle on its model process: start, task, cancel, recycle."""

import contextlib
import multiprocessing
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from gpu_worker import model_process
from gpu_worker.channel import (
    Analysed,
    Answer,
    Broken,
    Decoded,
    DeviceFree,
    ModelNames,
    Progress,
    Ready,
    Rejected,
    Separated,
    Task,
    Unavailable,
)
from gpu_worker.confined import exit_with_parent
from gpu_worker.device import Device
from gpu_worker.errors import EngineError, ModelUnavailableError, UnsuitableAudioError

POLL_SECONDS = 0.2
WAITING = "Waiting for the device"
"""The step of a song that could be separated, but for another song."""


class CancelledError(Exception):
    """The work was stopped because `should_stop` said so."""


class Engine:
    """Runs songs through the model process, which is loaded once and serves many.

    The process is started again after a cancel, a crash, running out of memory, and every
    `recycle_after` songs, since libraries leak. Engines that share a device separate one song at a time.
    """

    def __init__(self, *, models: ModelNames, device: Device, recycle_after: int) -> None:
        self._models = models
        self._device = device
        self._recycle_after = recycle_after
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
        # The device is given back last: a process may have to be stopped.
        with contextlib.ExitStack() as turn:
            try:
                return self._follow(turn, on_answer, should_stop)
            except (UnsuitableAudioError, EngineError):
                raise
            except BaseException:
                self.stop()  # a song is still under way in there
                raise
            finally:
                self._songs += 1
                if self._songs >= self._recycle_after:
                    self.stop()

    def _follow(
        self,
        turn: contextlib.ExitStack,
        on_answer: Callable[[Answer], None],
        should_stop: Callable[[], bool],
    ) -> Analysed:
        assert self._connection is not None
        while True:
            answer = self._receive(should_stop)
            if isinstance(answer, Rejected):
                raise UnsuitableAudioError(answer.reason)
            if isinstance(answer, Broken):
                raise EngineError(answer.reason)
            assert not isinstance(answer, Ready | Unavailable), "the model is loaded once"
            if isinstance(answer, Decoded):
                has_waited = self._take_device(on_answer, should_stop)
                turn.callback(self._device.give_back)
                self._connection.send(DeviceFree(has_waited))
            elif isinstance(answer, Separated):
                turn.close()
            on_answer(answer)
            if isinstance(answer, Analysed):
                return answer

    def _take_device(self, on_answer: Callable[[Answer], None], should_stop: Callable[[], bool]) -> bool:
        """Take the device, as soon as no other song has it; return whether that took waiting."""
        if self._device.take(patience=0):
            return False
        on_answer(Progress(WAITING, 0))
        assert self._connection is not None
        while not self._device.take(POLL_SECONDS):
            self._stop_if(should_stop)
            if self._connection.poll():  # it has nothing to say now: it died
                self._receive(should_stop)
        return True

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
        self._stop_if(should_stop)  # here too: a fast GPU leaves no pause between its answers
        while not self._connection.poll(POLL_SECONDS):
            self._stop_if(should_stop)
        try:
            answer: Answer | Ready | Unavailable = self._connection.recv()
        except (EOFError, OSError):
            self._process.join()
            code = self._process.exitcode
            self.stop()
            raise EngineError(f"The model process died (exit code {code}).") from None
        return answer

    def _stop_if(self, should_stop: Callable[[], bool]) -> None:
        if should_stop():
            self.stop()
            raise CancelledError


def _child(connection: Connection, models: ModelNames) -> None:
    exit_with_parent()
    model_process.run(connection, models)
