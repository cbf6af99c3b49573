"""What experiments refuse and say, and decisions by hand."""

from __future__ import annotations

from math import erf, exp, pi, sqrt

import numpy as np
import pytest

import journeykit as jk
from journeykit.statistics.experiments.decisions import always_valid, best_arm
from tests.logs import log
from tests.measuring import journeys_of


def shop(arms="ABAB", texts=None):
    rows = []
    for i, arm in enumerate(arms):
        text = f"u{i} {i} see" + (f"; u{i} {i + 1} buy" if i % 3 == 0 else "")
        rows += [{**row, "arm": None if arm == "-" else arm, "text": "x"} for row in log(text)]
    return journeys_of(rows)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: jk.Experiment("", "buy"),
            "assignment must be the name of the property that holds the arm, not ''.",
        ),
        (
            lambda: jk.Experiment("arm", []),
            "metrics is empty. Give at least one event, such as metrics=['purchase'].",
        ),
        (
            lambda: jk.Experiment("arm", ["buy"], ["buy"]),
            "metrics and guardrails has two metrics called 'buy'. Give one of them another name=.",
        ),
        (
            lambda: jk.Experiment("arm", "buy", planned_shares={"A": 1}),
            "planned_shares must name at least two arms, such as {'A': 0.5, 'B': 0.5}, not {'A': 1}.",
        ),
        (
            lambda: jk.Experiment("arm", "buy", planned_shares={"A": 1, "B": 0}),
            "planned_shares must be greater than zero; that of 'B' is 0.",
        ),
        (
            lambda: jk.Experiment("arm", "buy", control="C", planned_shares={"A": 1, "B": 1}),
            "the control 'C' is not in planned_shares, which names 'A', 'B'.",
        ),
        (
            lambda: jk.Experiment("arm", "buy", sequential=0.5),
            "sequential must be a number of users from 1 on, not 0.5.",
        ),
        (
            lambda: jk.Experiment("arm", "buy", cuped=14),
            (
                "cuped cannot be 14. Give a duration with its unit, such as '30m', '36h' or '7d' (us, ms, s, m, h, d, "
                "w), or a datetime.timedelta."
            ),
        ),
        (
            lambda: jk.Experiment("arm", "buy", started="soon"),
            "started='soon' is no date. Give a day or a time, such as '2026-02-01'.",
        ),
        (
            lambda: jk.Metric("buy", "sum"),
            "count cannot be 'sum'. Choose one of: 'users', 'events', 'value'.",
        ),
        (lambda: jk.Metric("buy", good="yes"), "good cannot be 'yes'. Choose one of: 'up', 'down'."),
    ],
)
def test_a_question_that_makes_no_sense_is_refused(make, message):
    with pytest.raises(jk.errors.ParameterError) as caught:
        make()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (
            jk.Experiment("arm", "buy", control="C"),
            "control cannot be 'C'. Choose one of: 'A', 'B'.",
        ),
        (
            jk.Experiment("arm", "buy", planned_shares={"A": 1, "C": 1}),
            (
                "planned_shares does not name the arm 'B' that users were in. It names 'A', 'C'. Add it, or filter "
                "these users out."
            ),
        ),
        (
            jk.Experiment("arm", jk.Metric("buy", "value", value="text")),
            "the property 'text' holds String, not numbers, and cannot be added up.",
        ),
    ],
)
def test_what_the_journeys_cannot_answer_is_refused(question, message):
    with pytest.raises(jk.errors.ParameterError) as caught:
        shop().measure(question)
    assert str(caught.value) == message


def test_a_property_that_was_not_kept_and_an_unknown_event_are_refused():
    with pytest.raises(jk.errors.UnknownPropertyError):
        shop().measure(jk.Experiment("armm", "buy"))
    with pytest.raises(jk.errors.UnknownPropertyError):
        shop().measure(jk.Experiment("arm", jk.Metric("buy", "value", value="price")))
    with pytest.raises(jk.errors.UnknownNameError):
        shop().measure(jk.Experiment("arm", "bye"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"simulations": 0}, "simulations must be a whole number from 1 on, not 0."),
        ({"effect": -1}, "effect must be a number above -1, such as 0.05 for 5 %, not -1."),
        ({"rng": None}, "rng must be a seed or a numpy.random.Generator, not None."),
    ],
)
def test_a_rehearsal_refuses_what_it_cannot_do(options, message):
    with pytest.raises(jk.errors.ParameterError) as caught:
        jk.Experiment("arm", "buy").rehearse(shop(), **{"rng": 1, **options})
    assert str(caught.value) == message


def test_an_arm_nobody_was_in_is_a_broken_split():
    answer = shop("A" * 40).measure(jk.Experiment("arm", "buy", planned_shares={"A": 1, "B": 1}, within="1m"))
    assert answer.sample_ratio.row(0, named=True) == {
        "chi_square": 40.0, "degrees": 1, "p_value": pytest.approx(2.54e-10, rel=1e-2), "srm": True,
    }  # fmt: skip
    row = answer.frame.row(0, named=True)
    assert (row["arm"], row["users"], row["mean"], row["p_value"], row["verdict"]) == (
        "B",
        0,
        None,
        None,
        "undecided",
    )
    assert answer.best["probability_best"].to_list() == [None, None]
    assert answer.notes[0] == (
        "Sample ratio mismatch: the arms do not have the users that were planned (p < 0.001). Do not trust these "
        "results; find out who is missing."
    )


def test_a_metric_without_variance_is_undecided_and_has_no_test():
    answer = shop("AB" * 30).measure(jk.Experiment("arm", jk.Metric("see", "events"), cuped="1d"))
    row = answer.frame.row(0, named=True)
    assert (row["mean"], row["control_mean"], row["difference"], row["p_value"]) == (1.0, 1.0, 0.0, None)
    assert (row["variance_reduction"], row["detectable_difference"], row["verdict"]) == (
        None,
        None,
        "undecided",
    )


def test_less_of_a_harm_is_better():
    rows = []
    for i in range(80):
        rows += [
            {**row, "arm": "AB"[i % 2]}
            for row in log(f"u{i} {i} see" + (f"; u{i} {i + 1} cry" if i % 4 == 0 else ""))
        ]
    up, down = jk.Metric("cry", name="more"), jk.Metric("cry", good="down", name="less")
    frame = journeys_of(rows).measure(jk.Experiment("arm", [up], [down])).frame
    assert frame.select("metric", "role", "difference", "verdict").rows() == [
        ("more", "metric", -0.5, "worse"), ("less", "guardrail", -0.5, "better"),
    ]  # fmt: skip


def test_the_best_of_two_is_what_the_normal_distribution_says():
    """With a difference d and an error s of it: Phi(d / s), and a loss of d Phi + s phi."""
    chance, loss = best_arm([1.0, 1.3], [0.3, 0.4])
    d, s = 0.3, 0.5
    below = (1 + erf(d / s / sqrt(2))) / 2
    density = exp(-((d / s) ** 2) / 2) / sqrt(2 * pi)
    assert chance == pytest.approx([1 - below, below], abs=1e-6)
    assert loss == pytest.approx([d * below + s * density, s * density - d * (1 - below)], abs=1e-6)


def test_of_three_alike_each_is_the_best_with_a_third():
    chance, loss = best_arm([2.0, 2.0, 2.0], [0.1, 0.1, 0.1])
    assert chance == pytest.approx([1 / 3] * 3)
    assert loss == pytest.approx([0.1 * 0.8462844] * 3, rel=1e-4)


def test_an_arm_that_is_known_exactly():
    chance, _ = best_arm([0.5, 0.4], [0.0, 0.1])
    assert chance == pytest.approx([0.8413447, 0.1586553], abs=1e-4)


def test_the_always_valid_interval_ends_where_its_p_value_is_alpha():
    low, high, _ = always_valid(np.array([0.0]), np.array([0.01]), [5000], 8000, 0.9)
    assert always_valid(high, np.array([0.01]), [5000], 8000, 0.9)[2] == pytest.approx([0.1])
    assert always_valid(low, np.array([0.01]), [5000], 8000, 0.9)[2] == pytest.approx([0.1])
    assert high[0] > 1.645 * 0.01


def test_looking_at_every_user_seldom_finds_what_is_not_there():
    """Of 300 walks without an effect, looked at 100 times each, the plain test stops far more than 5 %."""
    rng = np.random.default_rng(1)
    looks = np.arange(100, 10_001, 100)
    means = rng.normal(0, 1, (300, 100, 100)).sum(axis=2).cumsum(axis=1) / looks
    error = np.broadcast_to(1 / np.sqrt(looks), means.shape)
    _, _, p = always_valid(means, error, np.broadcast_to(looks, means.shape), 10_000, 0.95)
    assert (p.min(axis=1) < 0.05).mean() < 0.05
    assert (np.abs(means / error).max(axis=1) > 1.96).mean() > 0.25


def test_who_is_not_in_the_experiment_is_said():
    answer = shop("AB-AB-").measure(jk.Experiment("arm", "buy"))
    assert "2 users are not in the experiment: no event names their arm." in answer.notes
    assert "'A' is taken for the control." in answer.notes


@pytest.mark.parametrize(
    ("question", "named"),
    [
        (jk.Experiment("text", "buy"), "'text' names only one arm, 'x'"),
        (jk.Experiment("arm", "buy", started="2030-01-01"), "'arm' names no arm"),
    ],
)
def test_without_two_arms_there_is_an_empty_answer_that_says_why(question, named):
    answer = shop().measure(question)
    assert answer.frame.height == 0
    assert answer.sample_ratio["p_value"].to_list() == [None]
    assert answer.notes[0] == (
        f"The property {named}: there is nothing to compare. Check assignment= and started=."
    )
