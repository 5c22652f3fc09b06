use jiff::civil::date;
use proptest::prelude::*;

use super::*;

/// A calendar with one event, or several with what separates them.
pub(in super::super) fn ics(event: &str) -> String {
    let text =
        format!("BEGIN:VCALENDAR\nVERSION:2.0\nBEGIN:VEVENT\n{event}\nEND:VEVENT\nEND:VCALENDAR\n");
    text.replace('\n', "\r\n")
}

const NEXT: &str = "\nEND:VEVENT\nBEGIN:VEVENT\n";

fn berlin() -> TimeZone {
    TimeZone::get("Europe/Berlin").expect("bundled")
}

fn read(text: &str) -> Result<Holidays, Vec<Wrong>> {
    super::read(text.as_bytes(), &berlin(), &Words::default())
}

/// The days from 2024 to 2030, separated by spaces.
fn days(text: &str) -> String {
    let holidays = read(text).unwrap_or_else(|wrong| panic!("{text}\n{wrong:?}"));
    let years = date(2024, 1, 1)..date(2031, 1, 1);
    let days: Vec<String> = holidays.dates.range(years).map(Date::to_string).collect();
    days.join(" ")
}

#[test]
fn whole_days_are_holidays_however_they_are_written() {
    for (event, expected) in [
        (
            "DTSTART;VALUE=DATE:20261228\nDTEND;VALUE=DATE:20261231",
            "2026-12-28 2026-12-29 2026-12-30",
        ),
        ("DTSTART;VALUE=DATE:20261224", "2026-12-24"),
        ("DTSTART:20261224", "2026-12-24"),
        ("dtstart;value=date:20261224", "2026-12-24"),
        ("DTSTART;VALUE=DATE;TZID=\"Berlin: Mitte\":20261224", "2026-12-24"),
        ("DTSTART;VALUE=DATE:20261224\nDURATION:P2D", "2026-12-24 2026-12-25"),
        (
            "DTSTART;VALUE=DATE:20261224\nDURATION:P1W",
            "2026-12-24 2026-12-25 2026-12-26 2026-12-27 2026-12-28 2026-12-29 2026-12-30",
        ),
        ("DTSTART;VALUE=DATE:20261224\nDURATION:PT48H", "2026-12-24 2026-12-25"),
        // The end as the last day: against the standard, and widely used.
        ("DTSTART;VALUE=DATE:20261224\nDTEND;VALUE=DATE:20261224", "2026-12-24"),
        ("DTSTART;VALUE=DATE:20261224\nDTEND:20261224T050001Z", "2026-12-24"),
        ("DTSTART;VALUE=DATE:20261224\nDTEND:20261225T235959", "2026-12-24 2026-12-25"),
        // As times.
        ("DTSTART:20261224T000000\nDTEND:20261225T000000", "2026-12-24"),
        ("DTSTART:20261224T000000\nDTEND:20261224T240000", "2026-12-24"),
        ("DTSTART:20261224T000000\nDTEND:20261224T235959", "2026-12-24"),
        ("DTSTART:20261224T000000\nDTEND:20261225T235900", "2026-12-24 2026-12-25"),
        ("DTSTART:20261224T0000\nDTEND:20261224T2359", "2026-12-24"),
        ("DTSTART:20261224T000000\nDURATION:PT24H", "2026-12-24"),
        (
            "DTSTART;TZID=Asia/Tokyo:20261224T000000\nDTEND;TZID=Asia/Tokyo:20261225T000000",
            "2026-12-24",
        ),
        // In UTC: a day of the calendar's zone, and a day that somebody took for one of UTC.
        ("DTSTART:20261223T230000Z\nDTEND:20261224T230000Z", "2026-12-24"),
        ("DTSTART:20260630T220000Z\nDTEND:20260701T215959Z", "2026-07-01"),
        ("DTSTART:20261224T000000Z\nDTEND:20261225T000000Z", "2026-12-24"),
        // Shorter than a day, or not one.
        ("DTSTART:20261224T090000Z", ""),
        ("DTSTART:20261224T000000\nDTEND:20261224T140000", ""),
        ("DTSTART:20261224T120000\nDTEND:20261226T120000", ""),
        ("DTSTART:20261224T090000\nRRULE:FREQ=HOURLY", ""),
        ("UID:1\nDTSTART:20261224T090000\nRECURRENCE-ID;RANGE=THISANDFUTURE:20261224T080000", ""),
        ("STATUS:CANCELLED\nDTSTART;VALUE=DATE:20261224", ""),
        // What an alarm says is not the event's.
        (
            "BEGIN:VALARM\nDTSTART:1\nDURATION:PT15M\nEND:VALARM\nDTSTART;VALUE=DATE:20261224",
            "2026-12-24",
        ),
    ] {
        assert_eq!(days(&ics(event)), expected, "{event}");
    }
}

#[test]
fn series_begin_with_their_first_day_and_end_where_they_say() {
    for (event, expected) in [
        ("DTSTART;VALUE=DATE:20281130\nRRULE:FREQ=YEARLY", "2028-11-30 2029-11-30 2030-11-30"),
        (
            "DTSTART;VALUE=DATE:20281130\nRRULE:FREQ=YEARLY;INTERVAL=1;BYMONTH=11;BYMONTHDAY=30;WKST=SU",
            "2028-11-30 2029-11-30 2030-11-30",
        ),
        (
            "DTSTART;VALUE=DATE:20251231\nDURATION:P2D\nRRULE:FREQ=YEARLY;COUNT=2",
            "2025-12-31 2026-01-01 2026-12-31 2027-01-01",
        ),
        ("DTSTART;VALUE=DATE:20200229\nRRULE:FREQ=YEARLY", "2024-02-29 2028-02-29"),
        ("DTSTART;VALUE=DATE:20250704\nRRULE:FREQ=YEARLY;INTERVAL=4", "2025-07-04 2029-07-04"),
        (
            "DTSTART;VALUE=DATE:20251127\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH;COUNT=3",
            "2025-11-27 2026-11-26 2027-11-25",
        ),
        (
            "DTSTART;VALUE=DATE:20250526\nRRULE:FREQ=YEARLY;BYDAY=-1MO;BYMONTH=5;UNTIL=20270531",
            "2025-05-26 2026-05-25 2027-05-31",
        ),
        (
            "DTSTART;VALUE=DATE:20261116\nRRULE:FREQ=MONTHLY;BYDAY=MO;BYSETPOS=3;COUNT=2",
            "2026-11-16 2026-12-21",
        ),
        (
            "DTSTART;VALUE=DATE:20261228\nRRULE:FREQ=DAILY;COUNT=3",
            "2026-12-28 2026-12-29 2026-12-30",
        ),
        (
            "DTSTART;VALUE=DATE:20261204\nRRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=2",
            "2026-12-04 2026-12-18",
        ),
        ("DTSTART;VALUE=DATE:20261224\nRRULE:FREQ=YEARLY;BYHOUR=9;COUNT=1", "2026-12-24"),
        // Until the last day, however that is written; after it nothing.
        ("DTSTART;VALUE=DATE:20291130\nRRULE:FREQ=YEARLY;UNTIL=20301130", "2029-11-30 2030-11-30"),
        ("DTSTART;VALUE=DATE:20291130\nRRULE:FREQ=YEARLY;UNTIL=20301129", "2029-11-30"),
        (
            "DTSTART;VALUE=DATE:20291130\nRRULE:FREQ=YEARLY;UNTIL=20301130T000000Z",
            "2029-11-30 2030-11-30",
        ),
        ("DTSTART;VALUE=DATE:20291130\nRRULE:FREQ=YEARLY;UNTIL=20301129T235959Z", "2029-11-30"),
        (
            "DTSTART:20291130T000000\nDTEND:20291201T000000\nRRULE:FREQ=YEARLY;UNTIL=20301129T230000Z",
            "2029-11-30 2030-11-30",
        ),
        (
            "DTSTART:20291130T000000\nDTEND:20291201T000000\nRRULE:FREQ=YEARLY;UNTIL=20301129T225959Z",
            "2029-11-30",
        ),
        ("DTSTART;VALUE=DATE:20291130\nRRULE:FREQ=YEARLY;UNTIL=20281130", ""),
        // The first day counts also where the rule would leave it out.
        (
            "DTSTART;VALUE=DATE:20261101\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH;UNTIL=20271231",
            "2026-11-01 2026-11-26 2027-11-25",
        ),
        // More days and fewer.
        (
            "DTSTART;VALUE=DATE:20260405\nRDATE;VALUE=DATE:20270328,20280416\nRDATE:20290401\nRDATE:",
            "2026-04-05 2027-03-28 2028-04-16 2029-04-01",
        ),
        (
            "DTSTART;VALUE=DATE:20261224\nDURATION:P2D\nRDATE;VALUE=DATE:20270101",
            "2026-12-24 2026-12-25 2027-01-01 2027-01-02",
        ),
        (
            "DTSTART;VALUE=DATE:20260501\nRRULE:FREQ=YEARLY;COUNT=4\nEXDATE;VALUE=DATE:20270501,20280501",
            "2026-05-01 2029-05-01",
        ),
        (
            "DTSTART;TZID=Europe/Berlin:20260501T000000\nDURATION:P1D\nRRULE:FREQ=YEARLY;COUNT=3\nEXDATE:20270430T220000Z",
            "2026-05-01 2028-05-01",
        ),
        (
            "DTSTART;TZID=Asia/Tokyo:20260501T000000\nDURATION:P1D\nRRULE:FREQ=YEARLY;COUNT=3\nEXDATE:20270430T150000Z",
            "2026-05-01 2028-05-01",
        ),
    ] {
        assert_eq!(days(&ics(event)), expected, "{event}");
    }
    let endless = read(&ics("DTSTART;VALUE=DATE:19700101\nRRULE:FREQ=YEARLY")).expect("days").dates;
    assert_eq!(endless.last(), Some(&date(2100, 1, 1)));
}

#[test]
fn an_instance_that_is_moved_or_cancelled_replaces_that_of_its_series() {
    const YEARLY: &str = "UID:1\nDTSTART;VALUE=DATE:20250427\nRRULE:FREQ=YEARLY;COUNT=3";
    const TIMED: &str = "UID:1\nDTSTART;TZID=Europe/Berlin:20250427T000000\nDURATION:P1D\nRRULE:FREQ=YEARLY;COUNT=3";
    for (series, instance, expected) in [
        (
            YEARLY,
            "UID:1\nRECURRENCE-ID;VALUE=DATE:20260427\nDTSTART;VALUE=DATE:20260428",
            "2025-04-27 2026-04-28 2027-04-27",
        ),
        (
            YEARLY,
            "UID:1\nRECURRENCE-ID:20260427\nDTSTART:20260427\nSTATUS:CANCELLED",
            "2025-04-27 2027-04-27",
        ),
        (YEARLY, "UID:1\nRECURRENCE-ID:20260427T000000\nSTATUS:Cancelled", "2025-04-27 2027-04-27"),
        (
            TIMED,
            "UID:1\nRECURRENCE-ID:20260426T220000Z\nDTSTART:20260504",
            "2025-04-27 2026-05-04 2027-04-27",
        ),
        // A moved one that is no whole day any more.
        (
            YEARLY,
            "UID:1\nRECURRENCE-ID:20260427\nDTSTART:20260427T120000\nDURATION:PT5H",
            "2025-04-27 2027-04-27",
        ),
        // One that its series leaves out was deleted after it was moved.
        (
            "UID:1\nDTSTART;VALUE=DATE:20250427\nRRULE:FREQ=YEARLY;COUNT=3\nEXDATE;VALUE=DATE:20260427",
            "UID:1\nRECURRENCE-ID:20260427\nDTSTART:20260428",
            "2025-04-27 2027-04-27",
        ),
        // Some programs repeat the rule of the series, which means nothing there.
        (
            YEARLY,
            "UID:1\nRECURRENCE-ID:20260427\nDTSTART:20260428\nRRULE:FREQ=YEARLY",
            "2025-04-27 2026-04-28 2027-04-27",
        ),
        // Of another series.
        (
            YEARLY,
            "UID:2\nRECURRENCE-ID:20260427\nDTSTART:20260428",
            "2025-04-27 2026-04-27 2026-04-28 2027-04-27",
        ),
        // Of two versions, the latest counts.
        (
            YEARLY,
            "UID:1\nSEQUENCE:2\nDTSTART:20260102\nEND:VEVENT\nBEGIN:VEVENT\nUID:1\nSEQUENCE:1\nDTSTART:20260103",
            "2026-01-02",
        ),
        (
            YEARLY,
            "UID:1\nSEQUENCE:2\nRECURRENCE-ID:20260427\nDTSTART:20260429\nEND:VEVENT\nBEGIN:VEVENT\nUID:1\nSEQUENCE:1\nRECURRENCE-ID:20260427\nDTSTART:20260428",
            "2025-04-27 2026-04-29 2027-04-27",
        ),
        // Many files have one UID, or none, for all of their events.
        (YEARLY, "UID:1\nDTSTART:20261003", "2025-04-27 2026-04-27 2026-10-03 2027-04-27"),
        ("DTSTART:20261003", "DTSTART:20261031", "2026-10-03 2026-10-31"),
    ] {
        assert_eq!(days(&ics(&format!("{series}{NEXT}{instance}"))), expected, "{instance}");
        assert_eq!(days(&ics(&format!("{instance}{NEXT}{series}"))), expected, "{instance}");
    }
}

#[test]
fn files_are_read_as_programs_write_them() {
    let one = |day: &str| ics(&format!("UID:1\nSUMMARY:H\nDTSTART;VALUE=DATE:{day}"));
    let folded =
        ics("SUMMARY:A very\n  long name\nDTSTART;VALUE=DATE:20261\n\t224\nX-LONG;X=\"a:b\":c");
    for text in [
        one("20261224"),
        one("20261224").replace("\r\n", "\n"),
        one("20261224").replace("\r\n", "\r"),
        // Line ends of two systems, blank lines, and spaces at the ends.
        one("20261224").replacen("\r\n", "\n", 3).replace("DTSTART", "\r\n \r\nDTSTART"),
        one("20261224").replace("\r\n", " \r\n"),
        format!("\u{feff}{}", one("20261224")),
        folded.clone(),
        folded.replace("\r\n", "\n"),
        one("20261224").to_ascii_lowercase(),
        one("20261224")
            .replace("END:VCALENDAR", "BEGIN:VTODO\nDTSTART:20261225\nEND:VTODO\nEND:VCALENDAR"),
    ] {
        assert_eq!(days(&text), "2026-12-24", "{text:?}");
    }
    // Several calendars in a file, each with the same UIDs.
    let both = format!("{}\u{feff}{}", one("20261224"), one("20261231"));
    assert_eq!(days(&both), "2026-12-24 2026-12-31");
    assert_eq!(days("BEGIN:VCALENDAR\nEND:VCALENDAR"), "");
}

#[test]
fn what_cannot_be_read_is_refused_with_its_line_and_what_to_do() {
    let wrong = |text: &str| -> Vec<(usize, String, String)> {
        let wrong = read(text).expect_err(text);
        wrong.into_iter().map(|wrong| (wrong.line, wrong.message, wrong.help)).collect()
    };
    for (event, line, message, help) in [
        ("X:1", 3, "has no DTSTART", "add the first day"),
        ("DTSTART 20261224", 3, "has no DTSTART", "add the first day"),
        (
            "\nDTSTART;VALUE=DATE:20261324",
            6,
            "DTSTART 20261324 is not a date",
            "write a day as 20261224",
        ),
        ("DTSTART:2026-12-24", 5, "DTSTART 2026-12-24 is not a date", "write a day as 20261224"),
        ("DTSTART:20261224T250000", 5, "DTSTART 20261224T250000 is not a date", "write a day"),
        ("DTSTART:20261224\nDTEND:tomorrow", 6, "DTEND tomorrow is not a date", "write a day"),
        ("DTSTART:20261224\nDURATION:PT12H", 6, "DURATION PT12H is not a number of days", "P1D"),
        ("DTSTART:20261224\nDURATION:a day", 6, "DURATION a day is not a number of days", "P1D"),
        (
            "DTSTART:20261224\nDTEND:20261223",
            6,
            "ends before it begins",
            "the day after the last one",
        ),
        ("DTSTART:20261224\nDTEND:20270404", 6, "lasts more than 100 days", "`holidays_without`"),
        (
            "DTSTART:20261224T000000",
            5,
            "lasts no time, from midnight on",
            "DTSTART;VALUE=DATE:20261224",
        ),
        (
            "DTSTART:20261224\nRRULE:FREQ=HOURLY",
            6,
            "RRULE FREQ=HOURLY: FREQ=HOURLY is more often than a day",
            "one by one",
        ),
        ("DTSTART:20261224\nRRULE:FREQ=DAILY", 6, "has more than 10500 days", "one by one"),
        ("DTSTART:20261224\nRRULE:FREQ=YEARLY;RSCALE=CHINESE", 6, "RSCALE", "one by one"),
        (
            "DTSTART:20261224\nRRULE:FREQ=YEARLY;UNTIL=soon",
            6,
            "UNTIL soon is no date",
            "one by one",
        ),
        ("DTSTART:20261224\nRRULE:FREQ=YEARLY;BYMONTH=13", 6, "BYMONTH", "one by one"),
        ("DTSTART:20261224\nRRULE FREQ=YEARLY", 6, "this line has no name and colon", "space"),
        ("DTSTART:20261224\nEXRULE:FREQ=YEARLY", 6, "EXRULE is not supported", "EXDATE"),
        (
            "DTSTART:20261224\nRDATE;VALUE=PERIOD:20270101T000000/P1D",
            6,
            "RDATE with a period",
            "first days",
        ),
        ("DTSTART:20261224\nEXDATE:x", 6, "EXDATE x is not a date", "write a day"),
        (
            "DTSTART:20261224\nRECURRENCE-ID;RANGE=THISANDFUTURE:20261224",
            6,
            "RANGE=THISANDFUTURE",
            "UNTIL",
        ),
    ] {
        let found = wrong(&ics(&format!("SUMMARY:A\\, B\n{event}")));
        assert_eq!(found.len(), 1, "{event}: {found:?}");
        assert_eq!(found[0].0, line, "{event}: {found:?}");
        assert!(found[0].1.starts_with("event \"A, B\": "), "{found:?}");
        assert!(found[0].1.contains(message), "{event}: {found:?}");
        assert!(found[0].2.contains(help), "{event}: {found:?}");
    }
    let nothing = |line| {
        (
            line,
            "is not an iCalendar file".to_owned(),
            "it has to begin with BEGIN:VCALENDAR".to_owned(),
        )
    };
    for text in ["", "no calendar", "<html>\n</html>", "BEGIN:VCARD\nEND:VCARD"] {
        assert_eq!(wrong(text), [nothing(1)], "{text}");
    }
    assert_eq!(wrong(&format!("{}more", ics("DTSTART:20261224"))), [nothing(7)]);
    let hebrew = "BEGIN:VCALENDAR\nCALSCALE:HEBREW\nEND:VCALENDAR";
    assert_eq!(wrong(hebrew)[0].0, 2);
    let latin1 = [b"BEGIN:VCALENDAR\r\nX-WR-CALNAME:Dia de los ni", &b"\xf1os\r\n"[..]].concat();
    let refused = super::read(&latin1, &berlin(), &Words::default()).expect_err("another encoding");
    assert_eq!((refused[0].line, &*refused[0].message), (2, "is not in UTF-8"));
    // A download that was cut off.
    for (text, line, message) in [
        ("BEGIN:VCALENDAR\nBEGIN:VEVENT\nDTSTART:20261224", 2, "VEVENT has no end"),
        (
            "BEGIN:VCALENDAR\nBEGIN:VEVENT\nEND:VCALENDAR",
            3,
            "END:VCALENDAR comes before the end of VEVENT, begun in line 2",
        ),
        ("BEGIN:VCALENDAR\n", 1, "VCALENDAR has no end"),
    ] {
        let help = "take care that the file is complete".to_owned();
        assert_eq!(wrong(text), [(line, message.to_owned(), help)]);
    }
    // All at once, from top to bottom.
    let both = ics(&format!("UID:2\nDTSTART:1{NEXT}UID:1\nDTSTART:2"));
    assert_eq!(wrong(&both).iter().map(|(line, ..)| *line).collect::<Vec<_>>(), [5, 9]);
}

#[test]
fn holidays_are_chosen_by_whole_words_of_their_events() {
    let event = |day: &str, text: &str| format!("UID:{day}\nDTSTART:{day}\n{text}");
    let feed = ics(&[
        event("20261225", "SUMMARY:Christmas Day\nDESCRIPTION:Public holiday"),
        event("20261224", "SUMMARY:Christmas Eve\nDESCRIPTION:Observance\\nTo hide observances\\, go to settings"),
        event("20261208", "SUMMARY:Immaculate Conception\nDESCRIPTION:Public holiday in Bavaria\\, Geneva\nCATEGORIES:Feiertag,STRASSE"),
        event("20261001", "SUMMARY:国庆节\nCATEGORIES:节假日(休)"),
    ]
    .join(NEXT));
    for (with, without, expected) in [
        (&[][..], &[][..], "2026-10-01 2026-12-08 2026-12-24 2026-12-25"),
        (&["Public holiday"], &[], "2026-12-08 2026-12-25"),
        (&["public HOLIDAY"], &["bavaria, geneva"], "2026-12-25"),
        (&[], &["Observance"], "2026-10-01 2026-12-08 2026-12-25"),
        // Of Christmas Eve, and not of Geneva.
        (&["Eve"], &[], "2026-12-24"),
        (&["Straße", "Christmas Day"], &[], "2026-12-08 2026-12-25"),
        (&["假日", "(休)"], &[], "2026-10-01"),
        (&["Public"], &["holiday"], ""),
    ] {
        let words = Words::new(with.iter().copied(), without.iter().copied());
        let dates = super::read(feed.as_bytes(), &berlin(), &words).expect("readable").dates;
        let dates: Vec<String> = dates.iter().map(Date::to_string).collect();
        assert_eq!(dates.join(" "), expected, "{with:?} {without:?}");
    }
    // What is left out may be wrong, and moved instances are chosen with their series.
    let words = Words::new([].into_iter(), ["party"].into_iter());
    let wrong = ics("SUMMARY:Party\nDTSTART:20261224\nRRULE:FREQ=HOURLY");
    assert_eq!(
        super::read(wrong.as_bytes(), &berlin(), &words).expect("readable").dates,
        BTreeSet::new()
    );
    let series = "UID:1\nSUMMARY:Party\nDTSTART:20251224\nRRULE:FREQ=YEARLY";
    let moved = "UID:1\nSUMMARY:Quiet\nRECURRENCE-ID:20261224\nDTSTART:20261223";
    let moved = ics(&format!("{series}{NEXT}{moved}"));
    assert_eq!(
        super::read(moved.as_bytes(), &berlin(), &words).expect("readable").dates,
        BTreeSet::new()
    );
}

const FEED: &str = "BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nUID:1\r\nSUMMARY:Thanks\\, giving\r\n\
    DTSTART;VALUE=DATE:20251127\r\nDURATION:P2D\r\nRRULE:FREQ=YEARLY;BYMONTH=11;BYDAY=4TH;UNTIL=20301231\r\n\
    EXDATE;TZID=\"Europe/Berlin\":20271125,20281123T000000Z\r\nRDATE:20290101\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\n\
    UID:1\r\nRECURRENCE-ID:20261126\r\nDTSTART:20261127T000000\r\nDTEND:20261127T235959\r\nEND:VEVENT\r\n\
    BEGIN:VEVENT\r\nDTSTART:20261231\r\nRRULE:FREQ=MONTHLY;BYMONTHDAY=-1;BYSETPOS=1;INTERVAL=2;COUNT=20\r\n\
    END:VEVENT\r\nEND:VCALENDAR\r\n";

proptest! {
    /// Broken files are read or refused with a line that they have.
    #[test]
    fn no_damage_to_a_calendar_is_more_than_errors(
        cuts in proptest::collection::vec((0..FEED.len(), 0..9_usize, "[0-9A-Z:;,=\"\\\\\r\n -]{0,4}"), 1..6)
    ) {
        let mut text = FEED.to_owned();
        for (at, length, inserted) in cuts {
            let at = at.min(text.len());
            let end = (at + length).min(text.len());
            text.replace_range(at..end, &inserted);
        }
        if let Err(wrong) = read(&text) {
            prop_assert!(!wrong.is_empty());
            let lines = text.replace("\r\n", "\n").split(['\n', '\r']).count();
            for wrong in wrong {
                prop_assert!((1..=lines).contains(&wrong.line), "{wrong:?} of {text:?}");
            }
        }
    }
}
