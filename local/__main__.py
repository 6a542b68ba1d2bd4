"""The supervisor: `python -m local --data DIR` runs the whole product on this machine."""

import argparse
import json
import signal
import sys
import threading
from pathlib import Path

from local.azurite import NodeMissingError
from local.process import ProgramError
from local.supervisor import InUseError, LaptopCloud
from stem_library_client.console import analyse

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Run until Ctrl-C or SIGTERM, or with --once until the song is done."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("--data", type=Path, default=Path(".local"), help="folder of all data (.local)")
    parser.add_argument("--port", type=int, help="port of the Function app; a free one without it")
    parser.add_argument("--no-worker", action="store_true", help="run no worker")
    parser.add_argument("--model", default="auto", help="the worker's STEM_MODEL (auto)")
    parser.add_argument("--song", type=Path, help="a song to analyse first")
    parser.add_argument("--out", type=Path, help="file for the API's answer on that song")
    parser.add_argument("--once", action="store_true", help="leave after the song; logs go to a file alone")
    arguments = parser.parse_args()
    if arguments.once and not arguments.song:
        parser.error("--once needs a --song")
    if arguments.song and not arguments.song.is_file():
        print(f"There is no file {arguments.song}.", file=sys.stderr)
        return 1
    for number in SIGNALS:
        signal.signal(number, lambda *_: sys.exit(128))
    arguments.data.mkdir(parents=True, exist_ok=True)
    try:
        return _run(arguments)
    except (InUseError, ProgramError, NodeMissingError) as error:
        if isinstance(error, InUseError) and arguments.once:
            # The one that runs can take the song as well.
            connections = json.loads((arguments.data / "connections.json").read_text(encoding="utf-8"))
            return analyse(connections["api"], arguments.song, arguments.out)
        print(error, file=sys.stderr)
        return 1


def _run(arguments: argparse.Namespace) -> int:
    status = 0
    with (arguments.data / "laptop-cloud.log").open("a", encoding="utf-8", buffering=1) as log:

        def on_line(name: str, line: str) -> None:
            log.write(f"[{name}] {line}\n")
            if not arguments.once:
                print(f"[{name}] {line}", flush=True)

        def analyse_song() -> None:
            nonlocal status
            status = analyse(cloud.api, arguments.song, arguments.out)
            if arguments.once:
                cloud.request_stop()

        data, worker = arguments.data.resolve(), not arguments.no_worker
        with LaptopCloud(
            data, arguments.port, worker=worker, model=arguments.model, on_line=on_line
        ) as cloud:
            for number in SIGNALS:
                signal.signal(number, lambda *_: cloud.request_stop())
            if not arguments.once:
                print(f"ready {cloud.api}", flush=True)
            if arguments.song:
                # In a thread, so that the end of a program is noticed meanwhile.
                threading.Thread(target=analyse_song, daemon=True).start()
            cloud.wait()
    return status if arguments.once else 0


if __name__ == "__main__":
    sys.exit(main())
