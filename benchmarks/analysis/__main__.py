"""Scores some songs and prints them one by one: `python -m benchmarks.analysis --half dev --songs 6`."""

import argparse

from benchmarks.analysis.measures import MEASURES, MISSING, Score
from benchmarks.analysis.scoring import WAYS, mean, score
from benchmarks.analysis.songs import SHORT_SONGS, SONGS, numbers_of

WIDTH = 9


def main() -> None:
    """Print a line a song and way, and the means."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.analysis", description=__doc__)
    parser.add_argument("--half", choices=["dev", "test"], default="dev", help="dev is the one to work on")
    parser.add_argument("--songs", type=int, help="only the first so many of the half")
    parser.add_argument("--numbers", help=f"these instead, as in 3,5: 0 to {SONGS - 1} and {SHORT_SONGS}")
    parser.add_argument("--measures", default=",".join(MEASURES), help="default: %(default)s")
    parser.add_argument("--ways", default="true", help=f"of {','.join(WAYS)} (default %(default)s)")
    parser.add_argument("--jobs", type=int, default=1, help="songs at a time (default 1)")
    arguments = parser.parse_args()
    names, ways = arguments.measures.split(","), arguments.ways.split(",")
    for given, known in ((names, MEASURES), (ways, WAYS)):
        if unknown := set(given) - set(known):
            parser.error(f"there is no {min(unknown)}: there are {', '.join(known)}")
    numbers = numbers_of(arguments.half)[: arguments.songs]
    if arguments.numbers:
        numbers = [int(number) for number in arguments.numbers.split(",")]
    print(f"{'song way':16}" + "".join(f"{name[-WIDTH + 1 :]:>{WIDTH}}" for name in [*names, "s/s"]))
    scored = []
    for song in score(numbers, ways, names, jobs=arguments.jobs):
        cells = [*(_cell(song.scores[name]) for name in names), f"{song.share:.3f}"]
        print(f"{song.number:3} {song.way:12}" + "".join(f"{cell:>{WIDTH}}" for cell in cells), flush=True)
        scored.append(song)
    for way in ways:
        for half in ("dev", "test"):
            means = [mean(scored, name, half=half, way=way) for name in names]
            if any(of.songs for of in means):
                cells = ["" if of.value is None else f"{of.value:.3f}" for of in means]
                print(f"{half} {way:11}" + "".join(f"{cell:>{WIDTH}}" for cell in cells))


def _cell(value: Score) -> str:
    if value is None:
        return ""
    return "-" if value == MISSING else f"{value:.2f}"


if __name__ == "__main__":
    main()
