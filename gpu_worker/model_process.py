"""The long-lived child process that holds the model; long computations can starve nobody but itself."""

import logging
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from gpu_worker.channel import (
    Analysed,
    AnalysisTask,
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
from gpu_worker.errors import ModelUnavailableError, UnsuitableAudioError

if TYPE_CHECKING:
    from gpu_worker.analysis.beat_model import BeatModel
    from gpu_worker.separation.models import LoadedModel

logger = logging.getLogger(__name__)


def run(connection: Connection, models: ModelNames) -> None:
    """Load the models, then serve tasks until the other end closes."""
    # Ctrl-C reaches the whole process group of a terminal: the parent decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    analysis_import = threading.Thread(target=_import_analysis, daemon=True)
    analysis_import.start()
    from gpu_worker.analysis.beat_model import load_beat_model  # imports torch
    from gpu_worker.analysis.wire import PULSE_READINGS
    from gpu_worker.separation.models import load_model

    try:
        model = load_model(models.stem_model, repo=models.stem_model_repo, device=models.device)
        beats = load_beat_model(models.beat_model, repo=models.beat_model_repo, device=model.device)
    except ModelUnavailableError as error:
        connection.send(Unavailable(str(error)))
        return
    beat_tracker = beats.label if beats else PULSE_READINGS
    connection.send(Ready(model.label, model.note, beat_tracker, model.device))
    while True:
        try:
            task: Task = connection.recv()
        except EOFError:
            return
        try:
            _serve(connection, task, model, beats)
        except UnsuitableAudioError as error:
            connection.send(Rejected(str(error)))
        except Exception as error:
            logger.exception("The song could not be processed")
            connection.send(Broken(f"{type(error).__name__}: {error}"))
            if _is_out_of_memory(error):
                return  # a fresh process has the memory that this one fragmented


def _serve(connection: Connection, task: Task, model: "LoadedModel", beats: "BeatModel | None") -> None:
    import torch

    from gpu_worker.analysis.song import analyse_song
    from gpu_worker.decoding import decode
    from gpu_worker.notation.export import write_files
    from gpu_worker.separation.engine import separate
    from shared.models import StemType

    seconds: dict[str, float] = {}
    begun = time.monotonic()

    def finish(step: str) -> None:
        nonlocal begun
        seconds[step] = round(time.monotonic() - begun, 3)
        begun = time.monotonic()

    if isinstance(task, AnalysisTask):
        stems = task.stems
    else:
        connection.send(Progress("Decoding", 0))
        mix = task.folder / "mix.wav"
        source = decode(task.song, mix, max_minutes=task.max_minutes)
        finish("decode")
        connection.send(Decoded())
        turn: DeviceFree = connection.recv()
        if turn.has_waited:
            finish("wait")
        connection.send(Progress("Separating", 0))
        try:
            paths = separate(
                model,
                mix,
                task.folder / "stems",
                on_progress=lambda share: connection.send(Progress("Separating", share)),
            )
        finally:
            torch.cuda.empty_cache()  # PyTorch keeps what it freed, and the next song is another process's
        mix.unlink()
        stems = {StemType(source_name.title()): path for source_name, path in paths.items()}
        finish("separate")
        connection.send(Separated(source, stems))
    connection.send(Progress("Analysing", 0))
    result = analyse_song(stems, beat_tracker=beats)
    finish("analyse")
    folder = task.folder / "notation"
    notation = {stem: write_files(part=part, folder=folder) for stem, part in result.parts.items()}
    finish("notate")
    connection.send(Analysed(result.song, result.stems, notation, seconds))


def _import_analysis() -> None:
    """Import the analysis while the model loads: it takes seconds, and no song waits for it then."""
    import gpu_worker.analysis.song  # noqa: F401


def _is_out_of_memory(error: Exception) -> bool:
    import torch

    return isinstance(error, torch.OutOfMemoryError | MemoryError)
