"""Scores of the music analysis on songs whose truth is known."""

from benchmarks.rows import Row


def run() -> list[Row]:
    """Score all songs; called by `python -m benchmarks analysis`."""
    # Imported here, so that what only renders songs, or reads their truth, loads no analysis.
    from benchmarks.analysis.table import rows

    return rows()
