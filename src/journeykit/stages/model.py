"""A stage model: stages in order, checked, saved, and applied to a log. DEFINITIONS D6."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
import numpy.typing as npt
import polars as pl

from journeykit.errors import StageModelError, UnknownNameError
from journeykit.stages import files, matching, validation
from journeykit.stages.matching import OrderedLog, StageAssignment
from journeykit.stages.rules import Stage
from journeykit.stages.validation import Moves, Unmapped
from journeykit.support.unknown_names import Missing, check_missing


@dataclass(frozen=True, init=False, repr=False)
class StageModel:
    """Stages of a journey in order, with the rules that say which event belongs to which. DEFINITIONS D6.1.

    Parameters
    ----------
    stages : sequence of Stage
        1 to 254 stages; the first has index 1.
    planned_moves : pairs of stage names, optional
        The moves that the journey is meant to make (D6.7); None if nothing is planned.
    loops : pairs of stage names
        Moves back to an earlier stage that count as a loop and not as a regress (D6.4).

    Raises
    ------
    StageModelError
        If the model cannot be used; every problem is listed.

    Examples
    --------
    >>> StageModel([Stage("look", "view"), Stage("buy", "purchase")])
    StageModel of 2 stages
      1 look  event('view')
      2 buy   event('purchase')
    """

    stages: tuple[Stage, ...]
    planned_moves: Moves | None
    loops: Moves

    def __init__(
        self,
        stages: Sequence[Stage],
        planned_moves: Iterable[tuple[str, str]] | None = None,
        loops: Iterable[tuple[str, str]] = (),
    ) -> None:
        made = tuple(stages)
        if wrong := [each for each in made if not files.is_stage(each)]:
            raise StageModelError([f"stages must be Stage values, not {each!r}" for each in wrong])
        planned = None if planned_moves is None else files.as_moves(planned_moves, "planned_moves")
        looped = files.as_moves(loops, "loops")
        names, rules = [stage.name for stage in made], sum(len(stage.rules) for stage in made)
        if problems := validation.structure_problems(names, rules, planned, looped):
            raise StageModelError(problems)
        object.__setattr__(self, "stages", made)
        object.__setattr__(self, "planned_moves", planned)
        object.__setattr__(self, "loops", looped)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the stages in order."""
        return tuple(stage.name for stage in self.stages)

    def index(self, name: str) -> int:
        """Give the index of a stage, from 1.

        Raises
        ------
        UnknownNameError
            If the model has no such stage.
        """
        if name not in self.names:
            raise UnknownNameError("stage", [name], self.names)
        return self.names.index(name) + 1

    @property
    def loop_moves(self) -> npt.NDArray[np.bool_]:
        """Which move (from index, to index) is a declared loop."""
        return self._move_table(self.loops)

    @property
    def planned(self) -> npt.NDArray[np.bool_] | None:
        """Which move (from index, to index) is planned."""
        return None if self.planned_moves is None else self._move_table(self.planned_moves)

    def _move_table(self, moves: Moves) -> npt.NDArray[np.bool_]:
        table = np.zeros((len(self.stages) + 1, len(self.stages) + 1), np.bool_)
        for source, target in moves:
            table[self.index(source), self.index(target)] = True
        return table

    @classmethod
    def loads(cls, text: str) -> StageModel:
        """Read a model from TOML text.

        Raises
        ------
        StageModelError
            With every problem of the text: unknown keys, missing names, events that two stages of equal
            priority name, stages named twice, wrong patterns, durations and conditions.

        Examples
        --------
        >>> StageModel.loads('''
        ... [[stages]]
        ... name = "look"
        ... rules = ["view", {glob = "cart*", after = "view", within = "7d"}]
        ... ''')
        StageModel of 1 stage
          1 look  event('view'), glob('cart*', after=event('view'), within='7d')
        """
        return cls(*files.parse(text, None))

    @classmethod
    def load(cls, path: str | PathLike[str]) -> StageModel:
        """Read a model from a TOML file; raises as `loads` does, also if there is no such file."""
        return cls(*files.parse(files.read_text(Path(path)), str(path)))

    def dumps(self) -> str:
        """Write the model as TOML text, from which `loads` makes an equal model.

        Raises
        ------
        StageModelError
            If a rule holds a polars expression that is not made of conditions (see `Condition`), or two
            stages of equal priority name the same event.
        """
        return files.write(self.stages, self.planned_moves, self.loops)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the model to a TOML file, whole or not at all; raises as `dumps` does."""
        files.write_text(Path(path), self.dumps())

    def validate(
        self, names: Iterable[str], *, unmapped: Unmapped = "raise", missing: Missing = "raise"
    ) -> None:
        """Hold the rules against the event names of a log.

        Parameters
        ----------
        names : iterable of str
            The event names.
        unmapped : {"raise", "warn", "ignore"}
            What to do about names that no rule can match.
        missing : {"raise", "ignore", "warn"}
            What to do about exact names in rules that are not in `names` (D0.9).

        Raises
        ------
        StageModelError
            With every problem: names in no stage, missing names, names asked for by two stages of equal
            priority.

        Warns
        -----
        JourneykitWarning
            For a rule that matches nothing, for a stage without rules, and with ``missing="warn"`` for such names.
        """
        vocabulary = pl.Series("event", list(dict.fromkeys(names)), dtype=pl.String)
        validation.validate(self.stages, vocabulary, unmapped, missing)

    def check(self, log: OrderedLog, *, unmapped: Unmapped = "raise", missing: Missing = "raise") -> None:
        """Hold the rules against a log with its properties, order and time; otherwise as `validate`.

        Also warns of a rule whose matches are all taken by rules tried before it.
        """
        validation.check(self.stages, log, unmapped, missing)

    def assign(self, log: OrderedLog, *, missing: Missing = "raise") -> StageAssignment:
        """Find the stage of every event. DEFINITIONS D6.2, D6.3.

        Parameters
        ----------
        log : Journeys
            Events in journey order.
        missing : {"raise", "ignore", "warn"}
            What to do about exact names in rules that are not in the log.

        Returns
        -------
        StageAssignment
            Per event the matched, current and furthest stage; events per rule; names in no stage.

        Raises
        ------
        UnknownNameError
            If a rule names an event that is not in the log.
        StageModelError
            If an expression does not fit the log's columns.

        Notes
        -----
        O(V x rules + n) if names decide, else O(n x rules); V names, n events.
        """
        check_missing(missing)
        matching.refuse_missing(self.stages, log.names, missing)
        return matching.assign(self.stages, log)

    def explain(self, log: OrderedLog) -> pl.DataFrame:
        """Say which rule took how many events.

        Returns
        -------
        polars.DataFrame
            One row per rule, in the model's order: stage, rule, matched_events (before D6.2 decides),
            caught_events, users (with a caught event), share (caught / all events; null of an empty log).
        """
        from journeykit.kernels.stages.stages import users_per_rule

        claims = matching.claim(self.stages, log)
        rules = list(matching.numbered(self.stages))
        users = np.zeros(len(rules) + 1, np.int64)
        users_per_rule(log.user_offsets, claims.rules, np.full(users.size, -1, np.int64), users)
        caught = np.bincount(claims.rules, minlength=users.size).astype(np.int64)
        events = pl.lit(log.n_events or None, dtype=pl.Int64)
        return pl.DataFrame(
            {
                "stage": pl.Series([self.stages[number - 1].name for number, _, _ in rules], dtype=pl.String),
                "rule": pl.Series([repr(rule) for _, _, rule in rules], dtype=pl.String),
                "matched_events": claims.matched_events,
                "caught_events": caught[1:],
                "users": users[1:],
            }
        ).with_columns(share=pl.col("caught_events") / events)

    def unmapped(self, log: OrderedLog) -> pl.DataFrame:
        """List the names of events in no stage: event, events, share of all events; most frequent first."""
        return matching.unmapped_names(log, matching.claim(self.stages, log).rules)

    def __repr__(self) -> str:
        """Show the stages in order with their rules."""
        width = max(len(_shown(name)) for name in self.names)
        lines = [f"StageModel of {len(self.stages)} stage{'s' if len(self.stages) > 1 else ''}"]
        for number, stage in enumerate(self.stages, start=1):
            rules = ", ".join(map(repr, stage.rules)) or "(no rules)"
            priority = f"  priority {stage.priority}" if stage.priority else ""
            lines.append(
                f"  {number:>{len(str(len(self.stages)))}} {_shown(stage.name):<{width}}  {rules}{priority}"
            )
        for part, moves in (("planned moves", self.planned_moves or ()), ("loops", self.loops)):
            if moves:
                lines.append(f"  {part}: " + ", ".join(f"{_shown(a)} -> {_shown(b)}" for a, b in moves))
        return "\n".join(lines)


def _shown(name: str) -> str:
    return name if name.isprintable() else repr(name)
