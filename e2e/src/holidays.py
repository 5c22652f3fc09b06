"""Says which days iCalendar files have off, by a library that nobody here wrote.

Reads a JSON object {"zone": NAME, "from": YEAR, "before": YEAR, "files": [TEXT, ...]}; without files, takes those
that the library and its parser are tested with. Prints a list of {"name", "text", "days"}: days is null where the
library cannot read a file.
"""

import datetime
import json
import pathlib
import sys
import zoneinfo

import icalendar
import recurring_ical_events

DAY = datetime.timedelta(days=1)
MIDNIGHT = datetime.time()
LAST_MINUTE = datetime.time(23, 59)


def whole_days(start, end):
    """The first day and the one after the last, of what takes whole days."""
    if not isinstance(start, datetime.datetime):
        return start, max(end, start + DAY)
    if start.time() != MIDNIGHT or end <= start:
        return None
    if end.time() >= LAST_MINUTE:
        return start.date(), end.date() + DAY
    return (start.date(), end.date()) if end.time() == MIDNIGHT else None


def days_of(event, zone):
    days = whole_days(event.start, event.end)
    if not days and getattr(event.start, "tzinfo", None) and not event.start.utcoffset():
        days = whole_days(event.start.astimezone(zone), event.end.astimezone(zone))
    day, after = days or (datetime.date.max, datetime.date.min)
    while day < after:
        yield day.isoformat()
        day += DAY


def days_off(text, asked):
    days = set()
    zone = zoneinfo.ZoneInfo(asked["zone"])
    for calendar in icalendar.Calendar.from_ical(text, multiple=True):
        events = recurring_ical_events.of(calendar).between((asked["from"],), (asked["before"],))
        for event in events:
            if event.get("STATUS", "").upper() != "CANCELLED":
                days.update(days_of(event, zone))
    return sorted(day for day in days if asked["from"] <= int(day[:4]) < asked["before"])


def test_files():
    for module in (icalendar, recurring_ical_events):
        for path in sorted(pathlib.Path(module.__file__).parent.rglob("*.ics")):
            yield path.name, path.read_text(encoding="utf-8", errors="replace")


def main():
    asked = json.load(sys.stdin)
    files = [("", text) for text in asked["files"]] if "files" in asked else test_files()
    read = []
    for name, text in files:
        try:
            days = days_off(text, asked)
        except Exception:
            days = None
        read.append({"name": name, "text": text, "days": days})
    json.dump(read, sys.stdout)


main()
