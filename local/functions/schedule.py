"""NCRONTAB expressions of six fields, seconds first, as the real host reads them."""

import calendar
import re
from datetime import datetime

from croniter import croniter

RANGES = ((0, 59), (0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
NAMES = {4: list(calendar.month_name), 5: [calendar.day_name[6], *calendar.day_name[:6]]}
ELEMENT = re.compile(r"(?:\*|(\w+)(?:-(\w+))?)(?:/([1-9]\d*))?")


class Schedule:
    """The times of one expression; ValueError where it is none."""

    def __init__(self, expression: str) -> None:
        try:
            texts = zip(range(6), expression.split(), strict=True)
            fields = [_numbers(place, text) for place, text in texts]
            self._expression = " ".join(",".join(map(str, field)) for field in fields)
            self.next(datetime.min)
        except ValueError as error:
            message = f"{expression!r} is no NCRONTAB expression of six fields, or is never due"
            raise ValueError(message) from error
        rest = zip(RANGES[1:], fields[1:], strict=True)
        self.is_frequent = len(fields[0]) > 1 and all(len(field) > high - low for (low, high), field in rest)
        """Whether it is due more than once a minute."""

    def next(self, after: datetime) -> datetime:
        """Return the first time after `after`."""
        # Day of month and day of week must both fit: no `or` as in cron.
        times = croniter(self._expression, after, second_at_beginning=True, day_or=False)
        found: datetime = times.get_next(datetime)
        return found


def _numbers(place: int, text: str) -> list[int]:
    """Return the numbers that a list of values, ranges and steps stands for."""
    low, high = RANGES[place]
    found: set[int] = set()
    for element in text.split(","):
        if not (match := ELEMENT.fullmatch(element)):
            raise ValueError(element)
        first, last, step = match.groups()
        start = _number(place, first) if first else low
        # As in NCrontab, a step from one value goes on to the end of the range.
        end = _number(place, last or first) if last or (first and not step) else high
        if not low <= start <= end <= high:
            raise ValueError(element)
        found.update(range(start, end + 1, int(step or 1)))
    return sorted(found)


def _number(place: int, text: str) -> int:
    names = [name.lower() for name in NAMES.get(place, ())]
    named = [number for number, name in enumerate(names) if name.startswith(text.lower())]
    return named[0] if named else int(text)
