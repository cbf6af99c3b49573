"""The exports that come as files of their own kind: Adobe's feed, Matomo's visits, Hotjar's CSV, access logs, XES."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile

import polars as pl
import pyarrow as pa
import pytest

import journeykit as jk
from journeykit.adapters.escapes import plain
from journeykit.errors import (
    BrokenRowError,
    EmptyInputError,
    InvalidRowsError,
    JourneykitError,
    MissingColumnError,
    UnreadableFileError,
)
from tests.exports import HOSTILE

T = 1_767_571_200


def events_of(events) -> list[str]:
    return events.frame["event"].cast(pl.String).to_list()


HITS = [
    ("hitid_low", "post_visid_high", "post_visid_low", "hit_time_gmt", "post_pagename", "post_page_event",
     "post_page_event_var2", "post_event_list", "post_product_list", "exclude_hit", "hit_source", "visit_num",
     "visit_start_time_gmt", "visit_page_num", "duplicate_purchase", "hitid_high"),
    ("1", "30", "40", T, "home", "0", "", "", "", "0", "1", "1", T, "2", "0", "9"),
    ("2", "30", "40", T, "landing", "0", "", "100", "", "0", "1", "1", T, "1", "0", "9"),
    ("3", "30", "40", T + 5, "shoes\\\tred", "0", "", "", "", "0", "1", "1", T, "3", "0", "9"),
    ("3", "30", "40", T + 5, "shoes\\\tred", "0", "", "", "", "0", "1", "1", T, "3", "0", "9"),
    ("4", "30", "40", T + 6, "", "100", "size chart", "", "", "0", "1", "1", T, "4", "0", "9"),
    ("5", "30", "40", T + 7, "ty", "0", "", "1,200=5,12", "c;a^;b^,;1;25.5,;d^^;2;10", "0", "1", "1", T, "5", "0", "9"),
    ("6", "30", "40", T + 8, "thanks", "0", "", "201,1", ";shoe;1;25.5", "0", "1", "1", T, "6", "1", "9"),
    ("7", "30", "40", T + 9, "bot", "0", "", "", "", "1", "1", "1", T, "7", "0", "9"),
    ("8", "30", "40", T + 9, "import", "0", "", "", "", "0", "5", "1", T, "7", "0", "9"),
    ("9", "31", "40", T + 9, "back\\\\slash", "0", "", "11", "", "0", "1", "1", T, "1", "0", "9"),
]  # fmt: skip
ADOBE_LEFT_OUT = {
    "repeats of an event already read": 1,
    "hits that Adobe excludes from reports": 1,
    "hits of data sources and summaries, which are no visits": 1,
}


def feed() -> dict[str, bytes]:
    rows = ["\t".join(map(str, row)) for row in HITS]
    return {
        "column_headers.tsv": (rows[0] + "\n").encode(),
        "event.tsv": b"1\tPurchase\n",
        "hit_data.tsv": ("\n".join(rows[1:]) + "\n").encode(),
    }


def deliver(folder, kind):
    if kind == "folder":
        for name, content in feed().items():
            (folder / name).write_bytes(content)
        return folder
    if kind == "gzipped":
        for name, content in feed().items():
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        return folder
    if kind == "zip":
        with zipfile.ZipFile(folder / "feed.zip", "w") as archive:
            for name, content in feed().items():
                archive.writestr(name, content)
        return folder / "feed.zip"
    with tarfile.open(folder / "01-shop_2026-01-05.tar.gz", "w:gz") as archive:
        for name, content in feed().items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return folder / "01-shop_2026-01-05.tar.gz"


@pytest.mark.parametrize("kind", ["folder", "gzipped", "zip", "tar.gz"])
def test_adobe_delivers_its_feed_in_many_ways(kind, tmp_path):
    events = jk.read_adobe(deliver(tmp_path, kind), keep=["page"])
    names = ["home", "landing", "shoes red", "link: size chart", "purchase", "thanks", "checkout"]
    assert events_of(events) == names
    assert events.frame["value"].to_list() == [None, None, None, None, 35.5, None, None]
    assert events.frame["user"].to_list() == ["30_40"] * 6 + ["31_40"]
    assert events.frame["page"].to_list()[-1] == "back\\slash"
    assert events.frame["session"][0] == f"30_40/1/{T}"
    assert dict(events.quality.left_out) == ADOBE_LEFT_OUT
    ordered = events.sessionize("30m").frame.filter(pl.col("user") == "30_40")
    assert ordered["event"].to_list()[:2] == ["landing", "home"]


def hit(number: int, **more):
    return {
        "hitid_high": "9",
        "hitid_low": f"{number}",
        "mcvisid": "12",
        "hit_time_gmt": f"{T + number}",
        **more,
    }


# What a hit says, and the event that it is; None if it is none. Numbers from Adobe's lookup of page events.
ADOBE_HITS = [
    ({"post_page_event": "0", "post_pagename": "home", "post_page_url": "https://shop.eu/"}, "home"),
    ({"post_page_event": "0", "post_page_url": "https://shop.eu/"}, "https://shop.eu/"),
    (
        {"post_page_event": "101", "post_page_event_var1": "https://shop.eu/a.pdf"},
        "link: https://shop.eu/a.pdf",
    ),
    ({"page_event": "12", "page_event_var2": "exit", "page_event_var1": "https://x/"}, "link: exit"),
    ({"page_event": "10", "post_page_event": "100", "post_page_event_var2": HOSTILE}, f"link: {HOSTILE}"),
    ({"post_page_event": "50", "post_pagename": "player"}, "media start"),
    ({"post_page_event": "53", "post_pagename": "player"}, None),
    ({"page_event": "32", "post_pagename": "player"}, None),
    ({"post_page_event": "76", "post_pagename": "player"}, "media start"),
    ({"post_page_event": "80", "post_pagename": "player"}, "survey"),
    ({"page_event": "70", "pagename": "experiment"}, "experiment"),
    ({"post_event_list": "100,112,1200=1", "post_pagename": "no purchase"}, "no purchase"),
    ({"post_event_list": "200,1:order-7", "post_pagename": "thanks"}, "purchase"),
    ({"post_event_list": "1", "duplicate_purchase": "1", "post_pagename": "thanks"}, "thanks"),
    ({"post_event_list": "14", "duplicate_purchase": "0"}, "cart view"),
    ({"post_pagename": "asleep", "post_customer_perspective": "1"}, None),
    ({"post_pagename": "robot", "exclude_hit": "4"}, None),
    ({"post_pagename": "upload", "hit_source": "7"}, None),
    ({"post_pagename": "forwarded", "hit_source": "10"}, "forwarded"),
]


def test_hits_of_adobe_are_what_its_lookups_say():
    names = dict.fromkeys(name for more, _ in ADOBE_HITS for name in more)
    hits = [hit(number, **{**dict.fromkeys(names), **more}) for number, (more, _) in enumerate(ADOBE_HITS)]
    assert events_of(jk.read_adobe(hits)) == [event for _, event in ADOBE_HITS if event is not None]


def test_the_time_that_was_sent_with_a_hit_goes_before_that_of_its_arrival():
    sent = [f"{T - 86_400}", "0", None]
    hits = [
        hit(0, hitid_low=f"{number}", post_cust_hit_time_gmt=time, post_pagename="a")
        for number, time in enumerate(sent)
    ]
    assert jk.read_adobe(hits).frame["time"].dt.epoch("s").to_list() == [T - 86_400, T, T]


def test_adobe_may_deliver_its_headers_apart(tmp_path):
    (tmp_path / "01-shop_2026-01-05.tsv.gz").write_bytes(gzip.compress(feed()["hit_data.tsv"]))
    with tarfile.open(tmp_path / "shop_2026-01-05-lookup_data.tar.gz", "w:gz") as archive:
        for name in ("column_headers.tsv", "event.tsv"):
            member = tarfile.TarInfo(name)
            member.size = len(feed()[name])
            archive.addfile(member, io.BytesIO(feed()[name]))
    assert jk.read_adobe(tmp_path).columns.height == 7
    other = tmp_path / "other"
    other.mkdir()
    (other / "column_headers.tsv").write_text("a\tb\n")
    with pytest.raises(UnreadableFileError, match=r"there is no column_headers\.tsv beside it"):
        jk.read_adobe(tmp_path)


def test_adobe_needs_its_headers(tmp_path):
    (tmp_path / "hit_data.tsv").write_bytes(feed()["hit_data.tsv"])
    with pytest.raises(
        UnreadableFileError, match=r"there is no column_headers\.tsv beside it\. Put the column_headers"
    ):
        jk.read_adobe(tmp_path)
    (tmp_path / "column_headers.tsv").write_text("a\tb\n")
    with pytest.raises(UnreadableFileError, match="line 1 has 17 fields, and 2 were expected|has 16 fields"):
        jk.read_adobe(tmp_path)


def test_a_delivery_without_hits_is_empty(tmp_path):
    (tmp_path / "event.tsv").write_text("1\tPurchase\n")
    with pytest.raises(EmptyInputError):
        jk.read_adobe(tmp_path)


@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1 << 22])
def test_escapes_are_undone_wherever_pieces_end(piece, tmp_path, monkeypatch):
    monkeypatch.setattr("journeykit.adapters.escapes.PIECE", piece)
    path = tmp_path / "a.tsv"
    path.write_bytes(b"a\\\tb\tc\\\\\td\\\ne\\\\\\\tf\nlast\\")
    written = plain(str(path), tmp_path / "b.tsv")
    assert (tmp_path / "b.tsv").read_bytes() == b"a b\tc\\\td e\\ f\nlast\\"
    assert written == str(tmp_path / "b.tsv")


BERLIN = 3_600


def action(kind: str | int, seconds: int, **more):
    """Make an action of a site in Berlin, whose seconds Matomo writes as if they were UTC."""
    return {"type": kind, "timestamp": T + seconds + BERLIN, "pageId": 100 + seconds, **more}


def conversion(kind: str, seconds: int, **more):
    made = action(kind, seconds, **more)
    del made["pageId"]
    return made


VISITS = [
    {
        "idVisit": "5", "visitorId": "v1", "userId": None, "deviceType": "Smartphone", "referrerType": "search",
        "firstActionTimestamp": T, "serverTimestamp": T + 6,
        "actionDetails": [
            conversion("goal", 0, goalName="landed", goalId=1, revenue=5, goalPageId=100, url="https://shop.example/a/"),
            action("action", 0, url="https://shop.example/a/?x=1#top", pageTitle="A", pageviewPosition=1),
            action("event", 1, eventCategory="video", eventAction="play", pageviewPosition=1),
            conversion("goal", 2, goalName="sign-up", goalId=2, revenue="3.5", goalPageId=None),
            action(13, 3, contentName="ad", contentInteraction=None),
            action(13, 4, contentName="ad", contentInteraction="click"),
            conversion("ecommerceOrder", 4, orderId="o1", revenue=20, revenueSubTotal=18, items=2),
            conversion("ecommerceAbandonedCart", 5, revenue=7, items=1),
            action("action", 5, url=None, pageTitle=HOSTILE, pageviewPosition=2),
        ],
    },
    {
        "idVisit": "6", "visitorId": "v1", "userId": "ann", "firstActionTimestamp": T + 6,
        "actionDetails": [action("download", 6, url="https://x/y.pdf")],
    },
]  # fmt: skip
ACTIONS = [
    "goal: landed", "/a/", "video: play", "goal: sign-up", "content: ad", "ecommerceOrder", "ecommerceAbandonedCart",
    HOSTILE, "download",
]  # fmt: skip


@pytest.mark.parametrize("kind", ["list", "lines", "frame"])
def test_matomo_has_a_row_per_action(kind, tmp_path):
    path = tmp_path / "visits.json"
    path.write_text(json.dumps(VISITS) if kind == "list" else "\n".join(map(json.dumps, VISITS)))
    source = path if kind != "frame" else pl.DataFrame(VISITS, infer_schema_length=None, strict=False)
    events = jk.read_matomo(source, keep=["device", "channel"])
    assert events_of(events) == ACTIONS
    assert events.frame["user"].to_list() == ["v1"] * 8 + ["ann"]
    assert events.frame["session"].to_list() == ["5"] * 8 + ["6"]
    assert events.frame["time"].dt.epoch("s").to_list() == [
        T + after for after in (0, 0, 1, 2, 4, 4, 5, 5, 6)
    ]
    assert events.frame["value"].to_list() == [5.0, None, None, 3.5, None, 20.0, None, None, None]
    assert events.frame["device"].to_list() == ["Smartphone"] * 8 + [None]
    assert events.quality.left_out == {"impressions of contents": 1}
    ordered = events.sessionize("30m").frame.filter(pl.col("user") == "v1")["event"]
    assert ordered.to_list()[:2] == ["/a/", "goal: landed"]


def test_a_visit_in_two_files_is_read_once(tmp_path):
    for name in ("a.json", "b.json"):
        (tmp_path / name).write_text(json.dumps(VISITS))
    events = jk.read_matomo(tmp_path)
    assert events_of(events) == ACTIONS
    assert events.quality.left_out["repeats of an event already read"] == 9


@pytest.mark.parametrize(
    "zone", [0, -3.5 * 3_600, 5.75 * 3_600, 14 * 3_600], ids=["UTC", "St. John's", "Kathmandu", "Kiritimati"]
)
@pytest.mark.parametrize("began", [-200, 200])
def test_matomo_writes_actions_in_the_zone_of_the_site(zone, began):
    seen = [{"type": "action", "url": "https://x/a", "timestamp": T + int(zone) + after} for after in (90, 0)]
    # The first action of the visit is not always the one that Matomo began it with.
    visit = {"visitorId": "v", "actionDetails": seen, "firstActionTimestamp": T + began}
    events = jk.read_matomo(
        [{**visit, "idVisit": "1"}, {**visit, "idVisit": "2", "firstActionTimestamp": None}]
    )
    epochs = events.frame["time"].dt.epoch("s").to_list()
    assert epochs == [T + 90, T, T + zone + 90, T + zone]


def test_goals_and_orders_of_one_second_are_no_repeats():
    goals = [{"type": "goal", "goalName": "won", "goalId": number, "goalPageId": "7"} for number in (1, 2)]
    orders = [{"type": "ecommerceOrder", "orderId": name} for name in ("o1", "o2")]
    actions = [{**each, "timestamp": T} for each in (*goals, *orders, goals[0], orders[0])]
    events = jk.read_matomo([{"idVisit": "1", "visitorId": "v", "actionDetails": actions}])
    assert events_of(events) == ["goal: won"] * 2 + ["ecommerceOrder"] * 2
    assert events.quality.left_out == {"repeats of an event already read": 2}


def test_hotjar_reads_answers_and_recordings(tmp_path):
    path = tmp_path / "answers.csv"
    question = "How was it, really?"
    path.write_text(
        "Number,User,Date Submitted,Country,Source URL,Device,Browser,OS,Hotjar User ID,Response URL,"
        f'"{question}","Tags for: {question}"\n'
        '1,8cbc3d60,2026-01-05 10:00:00,Germany,https://shop.example/,desktop,Chrome,Linux,8cbc3d60-1,/r/1,"9",\n'
        '2,0a1b2c3d,2026-01-05 11:00:00,France,https://shop.example/,phone,Safari,iOS,,/r/2,"good, <b>really</b>",\n'
    )
    events = jk.read_hotjar(path, keep=["page", question])
    assert events_of(events) == ["survey answer"] * 2
    assert events.frame["user"].to_list() == ["8cbc3d60-1", "0a1b2c3d"]
    assert events.frame[question].to_list() == ["9", "good, <b>really</b>"]
    assert jk.read_hotjar([path, path]).quality.left_out == {"repeats of an event already read": 2}
    recordings = jk.read_hotjar(
        [{"User ID": "u1", "Date": "2026-01-05 09:00", "Recording URL": "https://r/1"}] * 2
    )
    assert events_of(recordings) == ["recorded session"]
    with pytest.raises(MissingColumnError, match="for the role 'user'"):
        jk.read_hotjar([{"Person": "u1", "Date": "2026-01-05 09:00"}])


LINE = '{} - {} [05/Jan/2026:10:00:0{} +0100] "{}" {} 10 "https://find.example/?q=x" "{}"\n'
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) Firefox/130.0"
REQUESTS = [
    ("10.0.0.1", "-", 0, "GET /shop/4711/size-10?utm_source=mail&x=1 HTTP/1.1", 200, BROWSER),
    ("10.0.0.1", "ann", 1, "POST /cart HTTP/1.1", 302, BROWSER),
    ("10.0.0.1", "-", 2, "GET /style.CSS?v=1 HTTP/1.1", 200, BROWSER),
    ("10.0.0.1", "-", 3, "GET /nowhere HTTP/1.1", 404, BROWSER),
    ("10.0.0.2", "-", 4, "GET / HTTP/1.1", 200, "Googlebot/2.1 (+http://www.google.com/bot.html)"),
    ("10.0.0.3", "-", 5, "HEAD / HTTP/1.1", 200, BROWSER),
    ("10.0.0.4", "-", 6, "GET /u/123e4567-e89b-12d3-a456-426614174000/f HTTP/1.1", 200, "-"),
]


def test_half_an_access_log_is_named_whatever_its_name_tells(tmp_path):
    path = tmp_path / "access.log.1.zst"
    whole = pa.compress("".join(LINE.format(*row) for row in REQUESTS * 5_000).encode(), "zstd", asbytes=True)
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UnreadableFileError) as caught:
        jk.read_access_log(path)
    assert str(caught.value) == (
        f"{str(path)!r} cannot be read as access_log: Truncated compressed stream. "
        f"Check that it may be read and was written to its end."
    )


def test_access_logs_are_read_as_pages_of_people(tmp_path):
    path = tmp_path / "access.log.1"
    path.write_text("".join(LINE.format(*row) for row in REQUESTS))
    events = jk.read_access_log(path, keep=["source", "referrer", "status"])
    assert events_of(events) == ["GET /shop/{id}/size-10", "POST /cart", "GET /u/{id}/f"]
    assert events.frame["user"].to_list() == [f"10.0.0.1 {BROWSER}", "ann", "10.0.0.4 -"]
    assert events.frame["time"].dt.hour().to_list() == [9, 9, 9]
    assert events.frame["source"].to_list() == ["mail", None, None]
    assert events.frame["referrer"].to_list() == ["find.example"] * 3
    assert events.frame["status"].to_list() == [200, 302, 200]
    assert dict(events.quality.left_out) == {
        "images, styles, scripts and other parts of pages": 1,
        "requests that failed": 1,
        "requests of bots, by their user agent": 1,
        "HEAD and OPTIONS requests": 1,
    }
    path.write_text("nonsense\n")
    with pytest.raises(InvalidRowsError):
        jk.read_access_log(path)
    packed = tmp_path / "logs.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("access.log", "".join(LINE.format(*row) for row in REQUESTS))
    assert jk.read_access_log(packed).columns.height == 3


XES = """<?xml version="1.0" encoding="UTF-8"?>
<log xes.version="1.0" xmlns="http://www.xes-standard.org/">
  <global scope="event"><string key="concept:name" value="__INVALID__"/></global>
  <classifier name="Activity" keys="concept:name"/>
  <trace>
    <string key="concept:name" value="1"/>
    <float key="amount" value="12.5"><string key="currency" value="EUR"/></float>
    <event>
      <string key="concept:name" value="register"/>
      <date key="time:timestamp" value="2026-01-05T10:00:00.000+01:00"/>
      <string key="lifecycle:transition" value="COMPLETE"/>
      <list key="notes"><string key="concept:name" value="inner"/></list>
    </event>
    <event>
      <string key="concept:name" value="check"/>
      <date key="time:timestamp" value="2026-01-05T11:00:00+01:00"/>
      <string key="lifecycle:transition" value="start"/>
    </event>
    <event>
      <date key="time:timestamp" value="2026-01-05T12:00:00Z"/>
      <string key="concept:name" value="&lt;b&gt; &quot;x&quot; 🛒"/>
      <int key="cost:total" value="7"/>
      <string key="org:resource" value="Ann"/>
    </event>
  </trace>
  <trace>
    <string key="concept:name" value="2"/>
    <event>
      <string key="concept:name" value="register"/><date key="time:timestamp" value="2026-01-06T10:00:00Z"/>
    </event>
  </trace>
</log>
"""


@pytest.mark.parametrize("kind", ["xes", "xes.gz", "xml", "zip"])
def test_xes_has_a_user_per_case(kind, tmp_path):
    path = tmp_path / f"log.{kind}"
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("log.xes", XES)
    else:
        path.write_bytes(gzip.compress(XES.encode()) if kind.endswith("gz") else XES.encode())
    events = jk.read_xes(path, keep=["resource", "case:amount"])
    assert events_of(events) == ["register", '<b> "x" 🛒', "register"]
    assert events.frame["user"].to_list() == ["1", "1", "2"]
    assert events.frame["time"].dt.hour().to_list() == [9, 12, 10]
    assert events.frame["value"].to_list() == [None, 7.0, None]
    assert events.frame["resource"].to_list() == [None, "Ann", None]
    assert events.frame["case:amount"].to_list() == ["12.5", "12.5", None]
    assert events.quality.left_out == {"transitions of an activity other than its completion": 1}
    with pytest.raises(MissingColumnError, match=r"no column 'case:amont' .*Did you mean 'case:amount'\?"):
        jk.read_xes(path, keep=["case:amont"])


def test_several_files_of_xes_are_one_log(tmp_path):
    for name in ("a.xes", "b.xes"):
        (tmp_path / name).write_text(XES.replace('value="1"', f'value="{name}"'))
    assert jk.read_xes(tmp_path).quality.users == 3


def test_xes_may_have_numbers_for_resources_and_prefixes_of_its_own(tmp_path):
    path = tmp_path / "log.xes"
    path.write_text(
        XES.replace('<string key="org:resource" value="Ann"/>', '<int key="org:resource" value="112"/>')
    )
    assert jk.read_xes(path, keep=["resource"]).frame["resource"].to_list() == [None, "112", None]

    path.write_text(XES.replace("concept:name", "idea:name"))
    with pytest.raises(MissingColumnError, match=r"Did you mean 'case:idea:name'\?"):
        jk.read_xes(path)
    events = jk.read_xes(path, user="case:idea:name", event="idea:name")
    assert events_of(events) == ["register", '<b> "x" 🛒', "register"]


BOMB = '<!DOCTYPE log [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><log><string key="x" value="&b;"/></log>'
OUTSIDE = """<log><trace><string key="concept:name" value="1"/></trace><event><string key="concept:name" value="x"/>
<date key="time:timestamp" value="2026-01-05"/></event></log>"""


@pytest.mark.parametrize(
    ("content", "error", "message"),
    [
        (BOMB, BrokenRowError, "line 1 declares an entity. A log needs none. Remove it."),
        (
            '<!DOCTYPE log [<!ENTITY x SYSTEM "file:///etc/passwd">]><log>&x;</log>',
            BrokenRowError,
            "declares an entity",
        ),
        ("<html/>", UnreadableFileError, "its first element is no <log>"),
        ("<log><trace></log>", BrokenRowError, "line 1 is not XML: mismatched tag"),
        ("<log>", BrokenRowError, "is not XML: no element found"),
        ("<log></log>", EmptyInputError, "is empty: there is no event to read"),
        ("<log><event><string value='x'/></event></log>", MissingColumnError, "for the role 'user'"),
        (OUTSIDE, InvalidRowsError, "user 1"),
        ("\x00\x01", BrokenRowError, "is not XML"),
        (
            XES.replace("UTF-8", "x-klingon"),
            UnreadableFileError,
            "cannot be read as xes: unknown encoding: x-klingon. Write it in UTF-8.",
        ),
    ],
)
def test_what_is_no_log_of_cases_is_refused(content, error, message, tmp_path):
    path = tmp_path / "log.xes"
    path.write_text(content)
    with pytest.raises(error) as caught:
        jk.read_xes(path)
    assert message in str(caught.value)


def test_an_external_document_is_not_fetched(tmp_path):
    path = tmp_path / "log.xes"
    path.write_text(XES.replace("<log ", '<!DOCTYPE log SYSTEM "file:///etc/passwd">\n<log ', 1))
    assert jk.read_xes(path).columns.height == 3


def archive_of(path, members: dict[str, bytes], kind: str):
    if kind == "zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in members.items():
                archive.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
        link = tarfile.TarInfo("link.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return path


ROW = json.dumps({"event": "a", "properties": {"distinct_id": "u", "time": T}}).encode() + b"\n"


@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_names_in_archives_lead_nowhere(kind, tmp_path):
    inside = tmp_path / "inside"
    inside.mkdir()
    names = [
        "../../evil.json",
        "/tmp/absolute.json",
        "a\\..\\b.json",
        "ok.json",
        "__MACOSX/x.json",
        "read.me",
    ]
    path = archive_of(inside / f"a.{kind}", dict.fromkeys(names, ROW), kind)
    events = jk.read_mixpanel(path)
    assert events.columns.height == 3
    assert sorted(each.name for each in tmp_path.rglob("*")) == [f"a.{kind}", "inside"]


@pytest.mark.parametrize("kind", ["zip", "tgz", "json.gz"])
def test_bombs_are_refused_before_they_fill_anything(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("journeykit.adapters.archives.PLAUSIBLE_BYTES", 1 << 20)
    path = tmp_path / f"bomb.{kind}"
    content = b"\n" * (20 << 20)
    if kind == "json.gz":
        path.write_bytes(gzip.compress(content))
    else:
        archive_of(path, {"a.json": content}, kind)
    with pytest.raises(UnreadableFileError, match="which no log does. If you trust it, unpack it yourself"):
        jk.read_mixpanel(path)


@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_archives_of_too_many_files_are_refused_and_none_is_cut(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("journeykit.adapters.archives.MOST_MEMBERS", 3)
    # What is no log does not count.
    full = {f"{number}.md": b"x" for number in range(9)} | {f"{number}.json": ROW for number in range(3)}
    path = archive_of(tmp_path / f"full.{kind}", full, kind)
    assert jk.read_mixpanel(path).columns.height == 3
    path = archive_of(tmp_path / f"more.{kind}", full | {"z.json": ROW}, kind)
    with pytest.raises(UnreadableFileError) as caught:
        jk.read_mixpanel(path)
    assert str(caught.value) == (
        f"{str(path)!r} cannot be read as {'zip' if kind == 'zip' else 'tar'}: it has more than 3 files. "
        f"If you trust it, unpack it yourself and give the folder."
    )


@pytest.mark.parametrize("kind", ["zip", "tgz"])
def test_broken_archives_are_named(kind, tmp_path):
    path = archive_of(tmp_path / f"a.{kind}", {"a.json": ROW * 5_000}, kind)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], b"not an archive", whole[:40] + b"\xff" * 40 + whole[80:]):
        path.write_bytes(content)
        with pytest.raises(JourneykitError):
            jk.read_mixpanel(path)
    archive_of(path, {"read.me": b"x"}, kind)
    with pytest.raises(EmptyInputError):
        jk.read_mixpanel(path)


def test_a_row_of_another_length_is_refused(tmp_path):
    """A comma that is in no quotes: what comes after it would stand in the wrong column."""
    path = tmp_path / "tracks.csv"
    rows = ["anonymous_id,timestamp,event,event_text,user_id,plan", "x,2026-01-01T10:00:00Z,a,A,,1"]
    path.write_text("\n".join([*rows, "y,2026-01-01T10:00:00Z,b,B, too,,1"]) + "\n")
    with pytest.raises(BrokenRowError, match="line 3 has 7 fields, the header has 6"):
        jk.read_segment(path)
