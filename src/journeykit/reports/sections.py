"""The sections of a report, from tables to blocks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from journeykit.charts.text import count, duration, percent
from journeykit.reports.blocks import Block, Details, Figure, Listing, Section, Table, Text, name, number
from journeykit.reports.drawings import bar, curve, dot
from journeykit.reports.map_table import MapTable
from journeykit.reports.measuring import SEGMENT
from journeykit.reports.network import EDGES, graph_edges, network
from journeykit.reports.notes import WORDS, MapNotes
from journeykit.reports.recipes import Recipe
from journeykit.reports.shown import amount, time
from journeykit.reports.summary import summary
from journeykit.reports.tables import Tables
from journeykit.statistics.transitions.graph import END

PAINS, EDGE_ROWS, LEFT_ROWS, TRAITS, STEPS = 12, 15, 10, 4, 8
MOST_SEGMENTS = 30
DEFINED = (
    "session", "users", "stage", "conversion", "abandonment", "time", "touchpoint", "emotion", "pain", "opportunity",
    "interval", "withheld",
)  # fmt: skip


@dataclass(frozen=True)
class Sections:
    """Makes each section by its name; None where there is nothing to show.

    Attributes
    ----------
    tables : Tables
        What may be shown.
    map : MapTable, optional
        The journey map; None without stages.
    notes : MapNotes
        What the team wrote.
    recipe : Recipe
        How to make the report again.
    goal : str
        The goal in words.
    quality : object, optional
        `Events.quality`, if it was given.
    """

    tables: Tables
    map: MapTable | None
    notes: MapNotes
    recipe: Recipe
    goal: str
    quality: Any = None

    def make(self, names: Sequence[str]) -> list[Section]:
        """Return the sections that have anything to show, in this order."""
        makers: Mapping[str, Callable[[], Sequence[Block]]] = {
            "summary": self._summary, "map": self._map, "pain": self._pain, "stages": self._stages,
            "flow": self._flow, "time": self._time, "segments": self._segments, "paths": self._paths,
            "personas": self._personas, "quality": self._quality, "definitions": self._definitions,
            "recipe": self._recipe,
        }  # fmt: skip
        made = [(each, makers[each]()) for each in names]
        return [Section(each, self.say(each), blocks) for each, blocks in made if blocks]

    @property
    def say(self) -> Any:
        """The words."""
        return self.tables.wording

    def _summary(self) -> list[Block]:
        return [
            Text(summary(self.tables, self.map, self.goal), points=True),
            Text([self.say("associations")]),
        ]

    def _map(self) -> list[Block]:
        """Return what stands below the map, which the page itself lays out."""
        if self.map is None:
            return [Text([self.say("no_stages")])]
        return [
            Text([self.say("map_reads"), *map(self.say.note, self.map.measured.notes)]),
            *self._strays(),
        ]

    def _strays(self) -> list[Block]:
        """Show words for stages that the map does not have: they are never lost."""
        assert self.map is not None
        strays = self.notes.unknown(self.map.stages)
        if not strays:
            return []
        rows = [
            [name(stage), *(name(getattr(self.notes.of(stage), word)) for word in WORDS)] for stage in strays
        ]
        columns = [self.say("stage"), *(self.say(f"row_{word}") for word in WORDS)]
        return [Table(self.say("notes_elsewhere"), columns, rows)]

    def _pain(self) -> list[Block]:
        if self.map is None:
            return []
        shown = self.map.pains
        rows = [row for row in shown.rows if shown.known(row, "lost_conversions")][:PAINS]
        if not rows:
            return []
        most = max(abs(shown.value(row, "lost_conversions")) for row in rows) or 1.0
        cells = [
            [
                name(shown.value(row, "touchpoint")), name(shown.value(row, "stage") or ""),
                number(
                    shown.estimate(row, "lost_conversions", amount),
                    bar(max(0.0, shown.value(row, "lost_conversions")), top=most),
                ),
                number(shown.text(row, "base", amount)), number(shown.text(row, "friction", amount)),
                number(shown.estimate(row, "exit_rate")), number(shown.text(row, "reference_exit_rate", percent)),
                number(shown.text(row, "regained_conversions", amount)), number(shown.text(row, "users")),
            ]
            for row in rows
        ]  # fmt: skip
        columns = (
            "touchpoint",
            "stage",
            "lost",
            "base",
            "friction",
            "exit_rate",
            "reference",
            "regained",
            "users",
        )
        return [
            Table(self.say("pain_table"), [self.say(each) for each in columns], cells),
            Text([self.say("pain_reads")]),
        ]

    def _stages(self) -> list[Block]:
        shown = self.tables.stages
        if shown is None:
            return []
        share, ends = "reached_share", ("", "_low", "_high")
        rows = [
            [
                name(shown.value(row, "stage")),
                number(shown.estimate(row, share), bar(*(shown.value(row, f"{share}{end}") for end in ends))),
                number(shown.text(row, "reached")), number(shown.estimate(row, "step_through")),
                number(shown.estimate(row, "exit_share")), number(shown.text(row, "dwell_median", time)),
            ]
            for row in shown.rows
        ]  # fmt: skip
        columns = ("stage", "reached_share", "reached", "went_on", "left_here", "time_in_stage")
        return [
            Table(self.say("stage_table"), [self.say(each) for each in columns], rows),
            Text([self.say("stage_reads")]),
        ]

    def _flow(self) -> list[Block]:
        shown = self.tables.edges
        drawn = graph_edges(shown.frame, self.tables.states)
        if drawn.is_empty():
            return []
        caption = self.say("flow_shows", moves=count(drawn.height), all=count(shown.frame.height))
        rows = [row for row in shown.rows if shown.known(row, "transitions", "probability")][:EDGE_ROWS]
        cells = [
            [
                name(f"{shown.value(row, 'source')} \u2192 {shown.value(row, 'target')}"),
                number(shown.text(row, "transitions")), number(shown.text(row, "users")),
                number(shown.estimate(row, "probability")),
                number(shown.text(row, "time_mean", duration) if shown.value(row, "target") != END else ""),
            ]
            for row in rows
        ]  # fmt: skip
        columns = [self.say(each) for each in ("move", "moves", "users", "probability", "time_between")]
        table = Table(self.say("flow_table", moves=count(len(cells))), columns, cells)
        more = [self.say("flow_few", moves=count(EDGES))] if drawn.height == EDGES else []
        figure = Figure(caption, network(drawn, caption), wide=True)
        return [figure, Text([self.say("flow_reads"), *more]), Details(self.say("numbers"), [table])]

    def _time(self) -> list[Block]:
        shown, rate = self.tables.over_time, "session_conversion_rate"
        if shown.frame.height < 2:
            return []
        ends = [[shown.value(row, f"{rate}{end}") for end in ("", "_low", "_high")] for row in shown.rows]
        top = max([0.01, *(value for each in ends for value in each if value is not None)])
        steps = shown.frame.height - 1
        days = [f"{day:%Y-%m-%d}" for day in shown.frame["period"]]
        caption = self.say("time_shows", every=self.say(f"every_{self.tables.findings.every}"))
        label = f"{caption}: " + ", ".join(
            f"{day} {shown.text(row, rate, percent)}" for row, day in enumerate(days) if steps < 60
        )
        drawing = curve(
            [(row / steps, *each) for row, each in enumerate(ends)], 0.0, top, label, kind="course"
        )
        rows = [
            [
                name(days[row]), number(shown.text(row, "sessions")), number(shown.text(row, "users")),
                number(shown.text(row, "converted_sessions")), number(shown.estimate(row, rate)),
            ]
            for row in shown.rows
        ]  # fmt: skip
        columns = ("period", "sessions", "users", "converted", "conversion_rate")
        table = Table(caption, [self.say(each) for each in columns], rows)
        axes = self.say("time_axes", top=percent(top), first=days[0], last=days[-1])
        return [Figure(f"{caption}. {axes}", drawing), Details(self.say("numbers"), [table])]

    def _segments(self) -> list[Block]:
        shown, rate = self.tables.segments, "user_conversion_rate"
        if shown is None:
            return []
        by = self.tables.findings.by
        order = sorted(shown.rows, key=lambda row: -(shown.value(row, "users") or 0))[:MOST_SEGMENTS]
        ends = {row: [shown.value(row, f"{rate}{end}") for end in ("", "_low", "_high")] for row in order}
        top = max([0.01, *(value for each in ends.values() for value in each if value is not None)])
        rows = [
            [
                name(self._value(shown.value(row, SEGMENT))),
                number(shown.estimate(row, rate), dot(ends[row], top=top)), number(shown.text(row, "users")),
                number(shown.text(row, "converted_users")), number(shown.estimate(row, "session_conversion_rate")),
            ]
            for row in order
        ]  # fmt: skip
        columns = [
            by,
            *(self.say(each) for each in ("user_rate", "users", "converted", "session_rate")),
        ]
        more = (
            [self.say("more_segments", more=count(len(shown.rows) - len(order)))]
            if len(shown.rows) > len(order)
            else []
        )
        return [
            Table(self.say("segment_table", by=by), columns, rows),
            Text([self.say("segment_reads"), *more]),
        ]

    def _value(self, value: object) -> str:
        """Write the value of a segment."""
        return self.say("unknown") if value is None else str(value)

    def _paths(self) -> list[Block]:
        blocks: list[Block] = []
        shown, left = self.tables.paths, self.tables.left_at
        if shown.frame.height:
            most = max(shown.frame["share"].drop_nulls().to_list() or [1.0])
            rows = [
                [
                    name(" \u2192 ".join(shown.value(row, "path"))), number(shown.text(row, "count")),
                    number(shown.estimate(row, "share"), bar(shown.value(row, "share"), top=most)),
                    number(shown.estimate(row, "conversion_rate")),
                ]
                for row in shown.rows
            ]  # fmt: skip
            columns = [self.say(each) for each in ("path", "sessions", "share", "conversion_rate")]
            blocks.append(Table(self.say("path_table"), columns, rows))
        if left is not None and left.frame.height:
            rows = [
                [
                    name(left.value(row, "state")), number(left.text(row, "abandoned")),
                    number(left.estimate(row, "share")), number(left.estimate(row, "rate")),
                ]
                for row in left.rows[:LEFT_ROWS]
            ]  # fmt: skip
            columns = [self.say(each) for each in ("last_event", "gave_up", "share", "of_those_there")]
            blocks.append(Table(self.say("left_table"), columns, rows))
        return blocks

    def _personas(self) -> list[Block]:
        shown = self.tables.personas
        if self.tables.findings.unsampled:
            return [Text([self.say("personas_unsampled")])]
        if shown is None or not shown.frame.height:
            return []
        answer = self.tables.findings.personas
        assert answer is not None
        traits = answer.traits.filter(answer.traits["kind"] != "conversion")
        rows = []
        for row in shown.rows:
            persona = shown.value(row, "persona")
            path = shown.value(row, "typical_path") or []
            steps = " \u2192 ".join(path[:STEPS]) + (" \u2192 \u2026" if len(path) > STEPS else "")
            few = not shown.known(row, "users")
            rows.append([
                name(self.say("persona", number=count(persona))), number(shown.estimate(row, "share")),
                number(shown.estimate(row, "conversion_rate")), number(shown.text(row, "stability", amount)),
                name("" if few else steps), name("" if few else self._traits(traits, persona)),
                name("" if few else ", ".join(shown.value(row, "pains") or [])),
            ])  # fmt: skip
        columns = ("persona_", "share", "user_rate", "stability", "typical_path", "differs_in", "gives_up_at")
        users = count(answer.context.n_users)
        return [
            Table(self.say("persona_table", users=users), [self.say(each) for each in columns], rows),
            Text([self.say("persona_reads")]),
        ]

    def _traits(self, traits: Any, persona: int) -> str:
        """Name the traits in which a persona differs most surely from the rest."""
        mine = traits.filter(traits["persona"] == persona, traits["p_value"] < 0.05).sort("p_value", "trait")
        said = (
            f"{self._trait(kind, trait)} {count(value)} ({self.say('rest', value=count(rest))})"
            for kind, trait, value, rest in mine.select("kind", "trait", "value", "rest")
            .head(TRAITS)
            .iter_rows()
        )
        return "; ".join(said)

    def _trait(self, kind: str, trait: str) -> str:
        """Say what a trait is called; what users do and are has the name that it has in the log."""
        said: str = trait
        if kind == "stage":
            said = self.say("trait_reached", stage=trait.removeprefix("reached "))
        elif kind in ("behaviour", "time"):
            said = self.say(f"trait_{trait.replace(' ', '_')}")
        return said

    def _quality(self) -> list[Block]:
        findings = self.tables.findings
        context = findings.overview.context
        facts = [
            ("events", count(context.n_events)), ("users", count(context.n_users)),
            ("sessions", count(context.n_sessions)), ("tied_pairs", count(context.tied_pairs)),
        ]  # fmt: skip
        rows = [[name(self.say(key)), number(value)] for key, value in facts]
        if self.quality is not None:
            kept = ("rows_in", "rows_kept", "duplicates", "out_of_order", "in_future", "before_1990")
            rows += [[name(self.say(each)), number(count(getattr(self.quality, each)))] for each in kept]
        withheld = self.tables.withheld + (0 if self.map is None else self.map.withheld)
        if self.tables.k:
            rows.append([name(self.say("cells_withheld", k=count(self.tables.k))), number(count(withheld))])
        notes = dict.fromkeys(
            self.say.note(note) for each in findings.answers.values() for note in each.notes
        )
        table = Table(self.say("quality_table"), [self.say("what"), self.say("how_many")], rows)
        return [table, *([Text(list(notes), points=True)] if notes else [])]

    def _definitions(self) -> list[Block]:
        rows = [
            [
                name(self.say(f"term_{each}")),
                name(self.say(f"means_{each}", k=count(self.tables.k))),
                name(self.say(f"in_{each}")),
            ]
            for each in DEFINED
            if each != "withheld" or self.tables.k
        ]
        return [
            Table(
                self.say("definition_table"), [self.say(each) for each in ("term", "meaning", "source")], rows
            )
        ]

    def _recipe(self) -> list[Block]:
        listings: list[Block] = [
            Text([self.say("recipe_reads")]),
            Listing(self.say("recipe_code"), self.recipe.code),
        ]
        for caption, text in (("recipe_stages", self.recipe.stages), ("recipe_notes", self.recipe.notes)):
            if text:
                listings.append(Listing(self.say(caption), text))
        return listings
