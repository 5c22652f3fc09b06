"""Says which days iCalendar files have off, by a library that nobody here wrote.

Reads a JSON object {"zone": NAME, "from": YEAR, "to": YEAR, "files": [TEXT, ...]}; prints one list of days for
each file, or null where the library cannot read it.
"""

import datetime
import json
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
    start, end = event.start, event.end
    days = whole_days(start, end)
    if days is None and start.tzinfo == datetime.timezone.utc or str(getattr(start, "tzinfo", "")) == "UTC":
        days = days or whole_days(start.astimezone(zone), end.astimezone(zone))
    if days is None:
        return
    day, after = days
    while day < after:
        yield day.isoformat()
        day += DAY


def days_off(text, zone, first, last):
    days = set()
    for calendar in icalendar.Calendar.from_ical(text, multiple=True):
        for event in recurring_ical_events.of(calendar).between((first,), (last,)):
            if event.get("STATUS", "").upper() != "CANCELLED":
                days.update(days_of(event, zone))
    return sorted(day for day in days if first <= int(day[:4]) < last)


def main():
    asked = json.load(sys.stdin)
    zone = zoneinfo.ZoneInfo(asked["zone"])
    read = []
    for text in asked["files"]:
        try:
            read.append(days_off(text, zone, asked["from"], asked["to"]))
        except Exception as error:
            print(f"{type(error).__name__}: {error}", file=sys.stderr)
            read.append(None)
    json.dump(read, sys.stdout)


main()
