"""What a report is made of: journeys in memory, a store, or a plan that is measured in shards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from journeykit.cells import By
from journeykit.engines import Engine, OnDisk, Spark
from journeykit.errors import ParameterError
from journeykit.growing import Store
from journeykit.journeys.journeys import Journeys
from journeykit.plans import JourneysPlan
from journeykit.stages import StageModel
from journeykit.store import read_manifest

SEED = 0
EVENTS = "events"
LOG = '"your log", user="...", time="...", event="..."'


class Origin(Protocol):
    """What a report asks its questions of."""

    @property
    def model(self) -> StageModel | None:
        """The stages, if there are any."""

    @property
    def kept(self) -> tuple[str, ...] | None:
        """The properties; None if they are known only when it is measured."""

    @property
    def users(self) -> int | None:
        """How many users; None if that is known only when it is measured."""

    @property
    def code(self) -> list[str]:
        """The lines of Python that make it again, of `EVENTS` if these are read first."""

    def measure(self, *statistics: Any, by: By = None, every: str | None = None) -> Any:
        """Answer one or more questions."""

    def sample(self, users: int) -> Journeys | None:
        """Return the journeys of so many users drawn at random, of all if there are fewer; None if it has none."""


def origin_of(given: Any, engine: Engine | None) -> Origin:
    """Say how to ask what was given.

    Parameters
    ----------
    given : Journeys, Store or JourneysPlan
        What a report is made of.
    engine : Engine, optional
        Where to measure.

    Returns
    -------
    Origin
        A plan without an engine that works in shards is run, once.

    Raises
    ------
    ParameterError
        If it is none of these, or a store is to be measured by an engine.
    """
    if isinstance(given, Store):
        if engine is not None:
            raise ParameterError(
                "a store counts by itself what changed since it was asked. Leave engine out."
            )
        return _Stored(given)
    if isinstance(given, JourneysPlan) and isinstance(engine, OnDisk | Spark):
        return _Planned(given, engine)
    if isinstance(given, JourneysPlan):
        given = given.collect()
    if not isinstance(given, Journeys):
        raise ParameterError(
            f"a report is made of journeys, a store or a plan of journeys, not of {type(given).__name__}. Call "
            f"sessionize first, or open_store."
        )
    return _InMemory(given, engine)


@dataclass(frozen=True)
class _InMemory:
    journeys: Journeys
    engine: Engine | None

    @property
    def model(self) -> StageModel | None:
        return None if self.journeys.staged is None else self.journeys.staged.model

    @property
    def kept(self) -> tuple[str, ...]:
        return self.journeys.kept

    @property
    def users(self) -> int:
        return self.journeys.n_users

    @property
    def code(self) -> list[str]:
        steps = [EVENTS, f"    .sessionize(jk.{self.journeys.session_rule!r})"]
        steps += [f"    # then {verb}" for verb in self.journeys.provenance.verbs]
        return [*steps, *_staging(self.model)]

    def measure(self, *statistics: Any, by: By = None, every: str | None = None) -> Any:
        return self.journeys.measure(*statistics, by=by, every=every, engine=self.engine)

    def sample(self, users: int) -> Journeys:
        return self.journeys.sample(min(users, self.journeys.n_users), rng=SEED)


@dataclass(frozen=True)
class _Stored:
    store: Store

    @property
    def _about(self) -> Mapping[str, Any]:
        return read_manifest(self.store.path).about

    @property
    def model(self) -> StageModel | None:
        stages = self._about["stages"]
        return None if stages is None else StageModel.loads(stages)

    @property
    def kept(self) -> tuple[str, ...]:
        return tuple(self._about["properties"])

    @property
    def users(self) -> int:
        return int(self._about["users"])

    @property
    def code(self) -> list[str]:
        return ['jk.open_store("your store")']

    def measure(self, *statistics: Any, by: By = None, every: str | None = None) -> Any:
        return self.store.measure(*statistics, by=by, every=every)

    def sample(self, users: int) -> Journeys:
        return self.store.sample(users, rng=SEED)


@dataclass(frozen=True)
class _Planned:
    plan: JourneysPlan
    engine: Engine

    @property
    def model(self) -> StageModel | None:
        found = [step.arguments["model"] for step in self.plan.steps if step.verb == "assign_stages"]
        return found[-1] if found else None

    @property
    def kept(self) -> None:
        return None

    @property
    def users(self) -> None:
        return None

    @property
    def code(self) -> list[str]:
        steps = [f"jk.scan_events({LOG})"]
        for step in self.plan.steps[1:]:
            if step.verb == "sessionize":
                steps.append(f"    .sessionize(jk.{step.arguments['timeout']!r})")
            elif step.verb != "assign_stages":
                steps.append(f"    # then {step!r}")
        return [*steps, *_staging(self.model)]

    def measure(self, *statistics: Any, by: By = None, every: str | None = None) -> Any:
        return self.plan.measure(*statistics, by=by, every=every, engine=self.engine)

    def sample(self, users: int) -> None:
        return None


def _staging(model: StageModel | None) -> list[str]:
    return [] if model is None else ['    .assign_stages(jk.StageModel.load("stages.toml"))']
