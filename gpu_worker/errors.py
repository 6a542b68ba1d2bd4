"""Faults of the worker, told apart by what has to happen next."""


class UnsuitableAudioError(Exception):
    """The file can't be taken, now or later; the message is a sentence for a musician."""


class EngineError(Exception):
    """The model process failed; another try may succeed."""


class ModelUnavailableError(Exception):
    """The model can't be loaded; the message says which file is missing and which setting helps."""
