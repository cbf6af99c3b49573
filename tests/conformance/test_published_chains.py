"""Markov chains with published or computed numbers: groups C and D03 of ``published.json``."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

import journeykit as jk
from journeykit.models.chains.hypotheses import goodness_of_fit, homogeneity, memory

pytestmark = pytest.mark.conformance


@pytest.fixture(scope="module")
def case(conformance):
    cases = {each["id"]: each for each in json.loads((conformance / "published.json").read_text())["cases"]}

    def find(name):
        if name not in cases:
            pytest.skip(f"{name} is not in published.json")
        return cases[name]

    return find


@pytest.fixture(scope="module")
def rain(shared_data):
    return pl.read_csv(shared_data / "markov" / "rain.csv")["rain"].to_list()


def rows(frame, keys, value):
    return {row[:-1] if len(keys) > 1 else row[0]: row[-1] for row in frame.select(*keys, value).iter_rows()}


def test_six_users(case):
    expected = case("C01_clickstream_six_users")["expected"]
    listed = case("C01_clickstream_six_users")["data_file"].split(":", 1)[1].split(";")
    paths = [user.split()[1].split(",") for user in listed]
    chain = jk.MarkovChain.fit(paths, goal={"d": "d", "o": "o"})
    absorbed, steps = rows(chain.absorption(), ("state", "end"), "probability"), chain.steps()
    moves = rows(chain.edges(), ("source", "target"), "probability")
    for state, wanted in expected["absorption"].items():
        name = "<START>" if state == "(start)" else state
        assert absorbed[name, "d"] == pytest.approx(wanted["d"], abs=1e-9)
        assert absorbed[name, "o"] == pytest.approx(wanted["o"], abs=1e-9)
        assert rows(steps, ("state",), "steps")[name] == pytest.approx(wanted["steps"], abs=1e-9)
    assert {(a, b): p for (a, b), p in moves.items() if a != "<START>"} == pytest.approx(
        {(a, b): p for a, row in expected["P"].items() for b, p in row.items()}, abs=1e-10
    )
    assert {b: p for (a, b), p in moves.items() if a == "<START>"} == pytest.approx(expected["start"])
    assert jk.MarkovChain.fit(paths).log_likelihood() == pytest.approx(expected["loglik"], abs=1e-9)
    ends = pl.Series([path[-1] for path in paths]).value_counts(normalize=True)
    assert dict(ends.iter_rows()) == pytest.approx(expected["end"])


def test_drunkard(case):
    expected = case("C03_drunkard")["expected"]
    half = [[1, 0, 0, 0, 0], [0.5, 0, 0.5, 0, 0], [0, 0.5, 0, 0.5, 0], [0, 0, 0.5, 0, 0.5], [0, 0, 0, 0, 1]]
    chain = jk.MarkovChain.from_matrix(half, list("01234"))
    absorbed, steps = rows(chain.absorption(), ("state", "end"), "probability"), chain.steps()
    for state, wanted in expected["absorption"].items():
        assert [absorbed[state, "0"], absorbed[state, "4"]] == pytest.approx(wanted, abs=1e-12)
    assert rows(steps, ("state",), "steps") == pytest.approx(expected["mean_absorption_time"], abs=1e-12)
    for i, source in enumerate("123"):
        visits = rows(chain.visits(source), ("state",), "visits")
        assert [visits[state] for state in "123"] == pytest.approx(expected["N"][i], abs=1e-12)
        peer = [chain.fundamental(source, target) - (source == target) for target in "123"]
        assert peer == pytest.approx(expected["mean_num_visits_peer"][source], abs=1e-12)


def test_weather(case):
    expected = case("C04_weather")["expected"]
    names = ["sunny", "cloudy", "rain"]
    chain = jk.MarkovChain.from_matrix([[0.7, 0.2, 0.1], [0.3, 0.4, 0.3], [0.2, 0.45, 0.35]], names)
    assert chain.stationary()["share"].to_list() == pytest.approx(expected["steady"], abs=1e-10)
    assert chain.recurrence()["steps"].to_list() == pytest.approx(expected["recurrence"], abs=1e-10)
    passage = rows(chain.first_passage(), ("source", "target"), "steps")
    assert [[passage[a, b] for b in names] for a in names] == [
        pytest.approx(row, abs=1e-10) for row in expected["mfpt"]
    ]
    for steps in (2, 7):
        found = chain.after(steps, "cloudy")["probability"].to_list()
        assert found == pytest.approx(expected[f"cloudy_after_{steps}"], abs=1e-10)


def test_rain(case, rain):
    expected = case("C05_rain")["expected"]
    names = ["0", "1-5", "6+"]
    chain = jk.MarkovChain.fit([rain])
    counts = rows(chain.edges(), ("source", "target"), "count")
    assert [[counts[a, b] for b in names] for a in names] == expected["counts"]
    matrix = chain.matrix().drop("source").to_numpy()
    assert matrix == pytest.approx(np.array(expected["P"]), abs=1e-9)
    assert chain.log_likelihood() == pytest.approx(expected["loglik"], abs=1e-8)
    assert chain.stationary()["share"].to_list() == pytest.approx(expected["steady"], abs=1e-9)
    smooth = jk.MarkovChain.fit([rain], smoothing=1).matrix().row(0)[1:]
    assert smooth == pytest.approx(expected["laplace1_row0"], abs=1e-9)


def test_rain_has_a_memory(case, rain):
    expected = case("C05_rain")["expected"]["assessOrder"]
    codes = np.unique(rain, return_inverse=True)[1]
    found = memory(codes[:-2], codes[1:-1], codes[2:], np.ones(codes.size - 2))
    assert found.statistic == pytest.approx(expected["chi2"], abs=1e-8)
    assert found.degrees_of_freedom == expected["df"]
    assert found.p_value == pytest.approx(expected["p"], abs=1e-9)


def test_rain_fits_its_chain(case, rain):
    """The peer fits to all days, and tests on as many as are a multiple of three."""
    expected = case("C05_rain")["expected"]["verifyMarkovProperty"]
    found = goodness_of_fit([rain[: len(rain) // 3 * 3]], jk.MarkovChain.fit([rain]))
    assert found.statistic == pytest.approx(expected["chi2"], abs=1e-9)
    assert found.degrees_of_freedom == expected["df"]
    assert found.p_value == pytest.approx(expected["p"], abs=1e-9)


def test_rain_is_the_same_at_all_times(case, rain):
    """Ten blocks that share their last day. The peer takes the probabilities of each for counts."""
    expected = case("C05_rain")["expected"]["assessStationarity10"]
    size = len(rain) / 10
    blocks = [jk.MarkovChain.fit([rain[int(i * size) : int((i + 1) * size) + 1]]) for i in range(10)]
    assert homogeneity(blocks).degrees_of_freedom == expected["df"]
    shares = [block.edges().select("source", "target", count="probability") for block in blocks]
    found = homogeneity([jk.MarkovChain.from_counts(share) for share in shares])
    assert found.statistic == pytest.approx(expected["chi2"], abs=1e-9)
    assert found.degrees_of_freedom == expected["df"]
    assert found.p_value == pytest.approx(expected["p"])


def test_ratings(case, shared_data):
    expected = case("C06_tm_abs")["expected"]["mean_absorption_time"]
    table = pl.read_csv(shared_data / "markov" / "tm_abs.csv")
    chain = jk.MarkovChain.from_counts(table.to_numpy(), table.columns, absorbing=["D"])
    assert rows(chain.steps(), ("state",), "steps") == pytest.approx(expected, rel=1e-9)


def test_hiv(case, shared_data):
    expected = case("C08_craigsendi")["expected"]
    table = pl.read_csv(shared_data / "markov" / "craigsendi.csv")
    table.columns = ["source", "target", "count"]
    chain = jk.MarkovChain.from_counts(table, ["0-49", "50-74", "75-UP"])
    assert chain.matrix().drop("source").to_numpy() == pytest.approx(np.array(expected["P"]), abs=1e-10)
    assert chain.stationary()["share"].to_list() == pytest.approx(expected["steady"], abs=1e-10)


NAMES = {
    "n": "symbols",
    "loglik": "log_likelihood",
    "params_full": "parameters_full",
    "contexts_seen": "contexts",
    "params_seen": "parameters_seen",
    "AIC": "aic",
    "BIC": "bic",
    "AIC_seen": "aic_seen",
    "BIC_seen": "bic_seen",
}


def assert_orders(frame, expected):
    for wanted in expected:
        found = frame.row(by_predicate=pl.col("order") == wanted["order"], named=True)
        for theirs, ours in NAMES.items():
            assert found[ours] == pytest.approx(wanted[theirs], rel=1e-10), (wanted["order"], ours)


def test_orders_of_rain(case, rain):
    expected = case("C09_order_selection_rain")["expected"]
    assert_orders(jk.OrderSelection(3).of_paths([rain]).frame, expected)


def test_orders_of_trivago(case, shared_data):
    expected = case("C12_order_selection_trivago")["expected"]
    log = pl.read_parquet(shared_data / "trivago" / "trivago_val_100k.parquet")
    events = jk.read_events(log, user="session_id", time="step", event="action_type", unit="s")
    assert_orders(events.sessionize(None).measure(jk.OrderSelection(3)).frame, expected)


def toy(text, counts):
    return [path.split(",") for path in text.split()], counts


@pytest.mark.parametrize(
    "name, part, paths",
    [
        ("C13_pathpy_toy_order2", None, toy("a,c b,c c,d c,e a,c,d b,c,e", [1, 1, 1, 1, 4, 4])),
        (
            "C14_pathpy_toy_order1",
            None,
            toy("a,c b,c c,d c,e a,c,d b,c,e b,c,d a,c,e", [1, 1, 1, 1, 4, 4, 4, 4]),
        ),
        ("C14_pathpy_toy_order1", "each_path_5x", toy("a,c,d a,c,e b,c,d b,c,e", [5, 5, 5, 5])),
    ],
)
def test_multi_order(case, name, part, paths):
    expected = case(name)["expected"]
    expected = expected if part is None else expected[part]
    found = jk.OrderSelection(2).of_paths(*paths).multi_order
    assert found["degrees_of_freedom"].to_list() == expected["dof"]
    assert found["log_likelihood"].to_list() == pytest.approx(expected["loglik"], abs=1e-9)
    assert 1 + found["accepted"].fill_null(value=False).sum() == expected["K_opt"]


def test_bootstrap_of_groups(case, shared_data):
    """Percentiles over resampled sequences. D12.6."""
    expected = case("D03_tna_bootstrap_ci")["expected"]
    wide = pl.read_csv(shared_data / "tna" / "group_regulation.csv.gz", null_values="NA")
    paths = wide.select(pl.concat_list(pl.all()).list.drop_nulls().alias("path"))
    edges = jk.MarkovChain.fit(paths).resampled(rng=1, draws=1_000).edges()
    for edge, wanted in expected.items():
        source, target = edge.split("->")
        found = edges.filter(source=source, target=target)
        assert found["probability"].item() == pytest.approx(wanted["w"], abs=1e-9)
        assert found.select("low", "high").row(0) == pytest.approx(wanted["ci"], rel=0.15)


def test_first_clickout(case, shared_data):
    """P(click-out) and steps from every state of the trivago log, sessions cut at their first click-out."""
    expected = case("I03_trivago")["expected"]["absorb_first_clickout"]
    log = pl.read_parquet(shared_data / "trivago" / "trivago_val_100k.parquet")
    events = jk.read_events(log, user="session_id", time="step", event="action_type", unit="s")
    answer = events.sessionize(None).measure(jk.Chain("clickout item", open_paths="end"))
    found = {row[0]: row[1:] for row in answer.states.select("state", "conversion", "steps").iter_rows()}
    for state, wanted in expected.items():
        name = {"(start)": "<START>"}.get(state, state)
        assert found[name] == pytest.approx(tuple(wanted), rel=1e-9)
