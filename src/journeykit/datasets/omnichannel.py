"""Simulated customers of a shop: on the web, in an app, at the till, on the phone, in surveys; their ids are known."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.combining import Source
from journeykit.datasets.simulation import generator, whole_number
from journeykit.touchpoint_sources import support_tickets, survey, till

Integers: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]

FIRST_SECOND, DAYS, DAY, HOUR = 1_767_571_200, 84, 86_400, 3_600  # Monday 2026-01-05 00:00 UTC
ANOTHER_VISIT, MOST_VISITS = 0.7, 10
SHARE_APP, SHARE_CARD, SHARE_TABLET = 0.4, 0.5, 0.06
P_SECOND_BROWSER, P_APP_VISIT, P_KIOSK = 0.5, 0.5, 0.01
P_CART, P_LOGIN = 0.45, 0.8
P_ERROR = {"web": 0.3, "app": 0.05}
P_ORDER, P_ORDER_AFTER_ERROR = 0.6, 0.15
P_CALL_AFTER_ERROR, P_CALL, P_SHOP_AFTER_ERROR, P_SHOP = 0.5, 0.03, 0.35, 0.05
P_SURVEY = 0.4
KIOSKS = 3

# Where first visits and later ones come from: source, medium, campaign, weight of each.
TOUCHES = (
    ("instagram", "paid_social", "spring", 0.35, 0.05),
    ("google", "cpc", "brand", 0.25, 0.15),
    ("google", "organic", None, 0.25, 0.20),
    ("newsletter", "email", "weekly", 0.05, 0.30),
    ("(direct)", "(none)", None, 0.10, 0.30),
)


@dataclass(frozen=True, eq=False)
class SimulatedOmnichannel:
    """What each system of a shop knows of its customers, and who they are.

    Attributes
    ----------
    web, app : polars.DataFrame
        A row per event: ``cookie`` or ``device``, ``login`` (null before the login of the visit), ``id`` (the login
        where there is one, else the other), ``time`` (UTC), ``event``, ``source``, ``medium``, ``campaign`` (of the
        visit's first event, else null).
    receipts : polars.DataFrame
        Of the till: ``loyalty_card``, ``time``, ``total``.
    tickets : polars.DataFrame
        Of the call centre, which notes days: ``customer`` (a number of the CRM), ``day``, ``reason``.
    answers : polars.DataFrame
        Of a survey: ``email``, ``answered_at``, ``score`` (0 to 10).
    customers : polars.DataFrame
        The CRM: ``login``, ``customer``, ``email``, ``loyalty_card`` (null for many).
    truth : polars.DataFrame
        ``id``, ``kind``, ``person`` of every id that occurs; those of kiosks and of tablets that two persons share are
        persons of their own.
    """

    web: pl.DataFrame
    app: pl.DataFrame
    receipts: pl.DataFrame
    tickets: pl.DataFrame
    answers: pl.DataFrame
    customers: pl.DataFrame
    truth: pl.DataFrame

    @property
    def sources(self) -> list[Any]:
        """What ``jk.combine`` takes."""
        touches = ("source", "medium", "campaign")
        kept = {f"utm_{name}": name for name in touches}
        return [
            Source(log=self.web, source="web", user="id", properties=kept),
            Source(log=self.app, source="app", user="id", properties=kept),
            till(self.receipts),
            support_tickets(
                self.tickets, user="customer", opened="day", closed=None, precision="day", day_order="after",
                event=pl.lit("called support"), channel="call centre", source="support",
            ),
            survey(self.answers, "nps"),
        ]  # fmt: skip

    @property
    def links(self) -> pl.DataFrame:
        """Which ids were seen together: the columns of `customers`, ``cookie``, ``device`` and ``time``."""
        visits = [
            frame.drop_nulls("login").select(kind, "login", "time")
            for frame, kind in ((self.web, "cookie"), (self.app, "device"))
        ]
        names = ("cookie", "device", "login", "customer", "email", "loyalty_card", "time")
        return pl.concat([self.customers, *visits], how="diagonal").select(names)


def simulate_omnichannel(n_users: int, *, rng: int | np.random.Generator) -> SimulatedOmnichannel:
    """Simulate customers with several ids over twelve weeks, with a planted pain.

    Parameters
    ----------
    n_users : int
        How many persons, 0 or more.
    rng : int or numpy.random.Generator
        A seed (0 or more), or a generator, which then moves on.

    Returns
    -------
    SimulatedOmnichannel
        About 12 events per person, and the truth.

    Raises
    ------
    ParameterError
        If `n_users` is not a whole number of at least 0, or `rng` is neither a seed nor a generator.

    Notes
    -----
    A person has one or two browsers, with probability 0.4 the app, 0.5 a loyalty card; 6 % share a tablet with
    another. A visit is in the app or in a browser, 1 % of them at one of three kiosks. It looks, puts something into
    the cart with probability 0.45, then logs in (0.8) and orders (0.6). The planted pain is the delivery page of the
    website: there an error meets 30 % of those who have logged in (5 % in the app), after which 15 % order, half call
    the call centre, 35 % of those with a card who did not order buy in the shop, and the survey gets low scores.

    Examples
    --------
    >>> simulated = simulate_omnichannel(50, rng=1)
    >>> simulated.customers.height, simulated.truth["kind"].unique().sort().to_list()
    (50, ['card', 'cookie', 'customer', 'device', 'email', 'login'])
    """
    return _Simulation(whole_number(n_users), generator(rng)).run()


class _Simulation:
    """Draws everything in one order."""

    def __init__(self, n: int, rng: np.random.Generator) -> None:
        self.n, self.rng = n, rng
        self.has_app, self.has_card = rng.random(n) < SHARE_APP, rng.random(n) < SHARE_CARD
        self.second = rng.random(n) < P_SECOND_BROWSER
        self.tablet = np.full(n, -1)
        sharing = np.flatnonzero(rng.random(n) < SHARE_TABLET)
        sharing = rng.permutation(sharing)[: sharing.size // 2 * 2]
        self.tablet[sharing] = np.arange(sharing.size) // 2

    def run(self) -> SimulatedOmnichannel:
        """Simulate."""
        visits = self._visits()
        carts = self._carts(visits)
        events = self._events(visits, carts)
        web, app = (events.filter(pl.col("in_app") == here).drop("in_app") for here in (False, True))
        receipts, tickets, answers = self._elsewhere(visits, carts)
        return SimulatedOmnichannel(
            web.rename({"place": "cookie"}),
            app.rename({"place": "device"}),
            receipts,
            tickets,
            answers,
            self._customers(),
            self._truth(visits["place"]),
        )

    def _visits(self) -> dict[str, Any]:
        """Who visits when, where and from where; in the order of persons and time."""
        rng = self.rng
        counts = np.minimum(rng.geometric(1 - ANOTHER_VISIT, self.n), MOST_VISITS)
        person = np.repeat(np.arange(self.n), counts)
        day = np.sort(person * DAYS + rng.integers(0, DAYS, person.size)) - person * DAYS
        start = FIRST_SECOND + day * DAY + rng.integers(7 * HOUR, 21 * HOUR, person.size)
        order = np.lexsort((start, person))
        start, first = start[order], np.zeros(person.size, np.bool_)
        first[np.concatenate([[0], counts.cumsum()])[:-1][counts > 0]] = True
        weights = np.array([touch[3:] for touch in TOUCHES]).T
        draws = rng.random(person.size)
        at_first, later = (np.searchsorted(each.cumsum()[:-1], draws, side="right") for each in weights)
        touch = np.where(first, at_first, later)
        in_app = self.has_app[person] & (rng.random(person.size) < P_APP_VISIT) & ~first
        return {
            "person": person,
            "start": start,
            "touch": touch,
            "in_app": in_app,
            "place": self._places(person, in_app),
        }

    def _places(self, person: Integers, in_app: Flags) -> pl.Series:
        """Return the cookie or the device of every visit."""
        rng = self.rng
        browser = np.where(self.second[person] & (rng.random(person.size) < 0.5), 2, 1)
        on_tablet = (self.tablet[person] >= 0) & (rng.random(person.size) < 0.5)
        at_kiosk = rng.random(person.size) < P_KIOSK
        kiosk = rng.integers(1, KIOSKS + 1, person.size)
        frame = pl.DataFrame(
            {
                "person": _id("", person),
                "browser": browser,
                "tablet": _id("tablet-", self.tablet[person]),
                "kiosk": kiosk,
                "app": in_app,
                "on_tablet": on_tablet,
                "at_kiosk": at_kiosk,
            }
        )
        return frame.select(
            pl.when("app").then(pl.format("app-{}", "person"))
            .when("at_kiosk").then(pl.format("kiosk-{}", "kiosk"))
            .when("on_tablet").then(pl.col("tablet"))
            .otherwise(pl.format("cookie-{}-{}", "person", "browser"))
        ).to_series()  # fmt: skip

    def _carts(self, visits: dict[str, Any]) -> dict[str, Flags]:
        """What becomes of every visit."""
        rng, n = self.rng, visits["person"].size
        cart = rng.random(n) < P_CART
        error = cart & (rng.random(n) < np.where(visits["in_app"], P_ERROR["app"], P_ERROR["web"]))
        login = cart & (rng.random(n) < P_LOGIN)
        order = login & (rng.random(n) < np.where(error, P_ORDER_AFTER_ERROR, P_ORDER))
        return {
            "view": np.ones(n, np.bool_),
            "cart": cart,
            "login": login,
            "delivery": login,
            "delivery_error": error & login,
            "order": order,
        }

    def _events(self, visits: dict[str, Any], carts: dict[str, Flags]) -> pl.DataFrame:
        """Lay the events of visits out, a minute or so apart."""
        parts = []
        touches = pl.DataFrame(
            [touch[:3] for touch in TOUCHES], ["source", "medium", "campaign"], orient="row"
        )
        later = visits["start"].copy()
        known = np.zeros(later.size, np.bool_)
        for name, happens in carts.items():
            known |= happens if name == "login" else False
            at = np.flatnonzero(happens)
            frame = pl.DataFrame(
                {
                    "place": visits["place"].gather(at),
                    "login": _id("user-", visits["person"][at]),
                    "known": known[at],
                    "time": later[at],
                    "event": pl.repeat(name, at.size, dtype=pl.String, eager=True),
                    "in_app": visits["in_app"][at],
                }
            )
            of_first = touches[visits["touch"][at].tolist()] if name == "view" else touches.clear(at.size)
            parts.append(frame.hstack(of_first))
            later[at] += self.rng.integers(20, 240, at.size)
        login = pl.when("known").then("login")
        time = pl.from_epoch("time", time_unit="s").cast(pl.Datetime("us", "UTC"))
        frame = pl.concat(parts).with_columns(login.alias("login"), time.alias("time"))
        order = ["place", "login", "id", "time", "event", "source", "medium", "campaign", "in_app"]
        return (
            frame.with_columns(pl.coalesce("login", "place").alias("id")).sort("time", "place").select(order)
        )

    def _elsewhere(
        self, visits: dict[str, Any], carts: dict[str, Flags]
    ) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
        """What happens at the till, on the phone and in the survey."""
        rng, person, error = self.rng, visits["person"], carts["delivery_error"]
        n = person.size
        calls = rng.random(n) < np.where(error, P_CALL_AFTER_ERROR, P_CALL)
        shops = self.has_card[person] & (
            rng.random(n) < np.where(error & ~carts["order"], P_SHOP_AFTER_ERROR, P_SHOP)
        )
        bought = visits["start"] + rng.integers(2 * HOUR, 3 * DAY, n)
        asked = (carts["order"] | error) & (rng.random(n) < P_SURVEY)
        score = np.clip(np.round(rng.normal(np.where(error, 4.0, 8.5), 1.5)), 0, 10).astype(np.int64)
        total = np.round(rng.lognormal(3.6, 0.6, n), 2)
        when = pl.from_epoch(pl.Series(bought), time_unit="s").cast(pl.Datetime("us", "UTC"))
        answered = pl.from_epoch(pl.Series(visits["start"] + DAY), time_unit="s").cast(
            pl.Datetime("us", "UTC")
        )
        called = pl.from_epoch(pl.Series(visits["start"] // DAY), time_unit="d")
        reason = pl.select(
            pl.when(pl.Series(error)).then(pl.lit("delivery")).otherwise(pl.lit("other"))
        ).to_series()
        return (
            pl.DataFrame({"loyalty_card": _id("card-", person), "time": when, "total": total})
            .filter(shops)
            .sort("time"),
            pl.DataFrame({"customer": _id("crm-", person), "day": called, "reason": reason})
            .filter(calls)
            .sort("day"),
            pl.DataFrame({"email": _mail(person), "answered_at": answered, "score": score})
            .filter(asked)
            .sort("answered_at"),
        )

    def _customers(self) -> pl.DataFrame:
        person = np.arange(self.n)
        card = pl.DataFrame({"card": _id("card-", person), "has": self.has_card}).select(
            pl.when("has").then("card")
        )
        return pl.DataFrame(
            {
                "login": _id("user-", person),
                "customer": _id("crm-", person),
                "email": _mail(person),
                "loyalty_card": card.to_series(),
            }
        )

    def _truth(self, places: pl.Series) -> pl.DataFrame:
        """Return the person of every id that occurs."""
        person = np.arange(self.n)
        tablets = np.unique(self.tablet[self.tablet >= 0])
        shared = pl.concat(
            [
                _id("tablet-", tablets),
                pl.Series([f"kiosk-{k}" for k in range(1, KIOSKS + 1)], dtype=pl.String),
            ]
        )
        own: list[tuple[str, pl.Series, Integers]] = [
            ("cookie", _id("cookie-", person) + "-1", person),
            ("cookie", _id("cookie-", person[self.second]) + "-2", person[self.second]),
            ("device", _id("app-", person[self.has_app]), person[self.has_app]),
            ("login", _id("user-", person), person),
            ("customer", _id("crm-", person), person),
            ("email", _mail(person), person),
            ("card", _id("card-", person[self.has_card]), person[self.has_card]),
        ]
        parts = [
            pl.select(id=name, person=_id("p", whose))
            .with_columns(kind=pl.lit(kind))
            .select("id", "kind", "person")
            for kind, name, whose in own
        ]
        of_nobody = pl.select(id=shared, kind=pl.lit("cookie"), person=shared)
        occurs = pl.col("id").is_in(places.unique().implode())
        return pl.concat([*parts, of_nobody]).filter(~pl.col("kind").is_in(["cookie", "device"]) | occurs)


def _id(prefix: str, numbers: Integers) -> pl.Series:
    return prefix + pl.Series(numbers, dtype=pl.Int64).cast(pl.String).str.zfill(6)


def _mail(numbers: Integers) -> pl.Series:
    return _id("", numbers) + "@mail.example"
