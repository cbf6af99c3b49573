"""What ClickHouse has of the questions of ``questions.py``: chdb asks the file, and prints answers and seconds as JSON.

PYTHON_WITH_CHDB benchmarks/ask_chdb.py LOG REPEAT STEP STEP STEP STEP
"""

from __future__ import annotations

import json
import sys
import time

import chdb

WEEK_US = 604_800_000_000
US = "toUnixTimestamp64Micro(assumeNotNull(ts))"


def main() -> None:
    """Run from the command line."""
    log, repeat, *steps = sys.argv[1:]
    asked = {name: _asked(sql, int(repeat)) for name, sql in queries(log, steps).items()}
    print(json.dumps(asked))


def queries(log: str, steps: list[str]) -> dict[str, str]:
    """Return the queries: counts of users, in the order of steps."""
    conditions = ", ".join(f"event = '{step}'" for step in steps)
    among = ", ".join(f"'{step}'" for step in steps)
    file = f"file('{log}', Parquet)"
    only = f"FROM {file} WHERE event IN ({among}) GROUP BY assumeNotNull(user_id)"
    all_ = f"FROM {file} GROUP BY assumeNotNull(user_id)"
    counts = ", ".join(f"countIf(n >= {k + 1})" for k in range(len(steps)))
    match = f"sequenceMatch('{'.*'.join(f'(?{k + 1})' for k in range(len(steps)))}')"
    met = ", ".join(f"sum(r[{k + 1}])" for k in range(len(steps)))

    def window(mode: str, rows: str) -> str:
        return f"SELECT {counts} FROM (SELECT windowFunnel({WEEK_US}{mode})(toUInt64({US}), {conditions}) AS n {rows})"

    return {
        "windowFunnel": window("", only),
        "windowFunnel, strict_order": window(", 'strict_order'", all_),
        "windowFunnel, strict_increase": window(", 'strict_increase'", only),
        "sequenceMatch": f"SELECT sum(m) FROM (SELECT {match}(toUInt64({US}), {conditions}) AS m {only})",
        "retention": f"SELECT {met} FROM (SELECT retention({conditions}) AS r {only})",
    }


def _asked(sql: str, repeat: int) -> dict[str, object]:
    connection = chdb.connect(":memory:")
    connection.query("SET max_threads=2")
    walls, answer = [], None
    for _ in range(repeat + 1):
        wall = time.perf_counter()
        answer = json.loads(str(connection.query(sql, "JSONCompact")))["data"][0]
        walls.append(time.perf_counter() - wall)
    connection.close()
    return {"answer": [int(value) for value in answer or ()], "wall_s": walls[1:]}


if __name__ == "__main__":
    main()
