"""From the files of an export, or a frame, to plain columns: one plan, whatever changed from file to file."""

from __future__ import annotations

import glob
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from journeykit.adapters import drift, sampling, xes_parsing
from journeykit.adapters.adapter import Adapter, Column
from journeykit.adapters.export_files import ExportFiles, files_of
from journeykit.adapters.places import find, text_schema
from journeykit.errors import ParameterError, UnreadableFileError
from journeykit.sources import FORMATS as SOURCE_FORMATS
from journeykit.sources import access_log, blaming, is_paths, open_source
from journeykit.sources.collecting import engine_errors
from journeykit.sources.csv import SEPARATORS
from journeykit.sources.paths import is_remote
from journeykit.sources.prepared import PreparedLog
from journeykit.sources.texts import open_text

FORMATS = (*SOURCE_FORMATS, "xes")


@dataclass(frozen=True, eq=False)
class Run:
    """Neighbouring files of equal columns, or a frame.

    Attributes
    ----------
    plan : polars.LazyFrame
        Their rows.
    schema : mapping of str to polars.DataType
        The columns and types of the plan.
    files : tuple of str
        Which they are.
    """

    plan: pl.LazyFrame
    schema: Mapping[str, pl.DataType]
    files: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Opened:
    """The columns of an export.

    Attributes
    ----------
    plan : polars.LazyFrame
        One column per name asked for; null where the export has no such place.
    present : set of str
        The names that the export has.
    available : list of str
        The columns of the export itself; the places in the first lines of JSON.
    files, format, notes, keeping
        As of `journeykit.sources.prepared.PreparedLog`.
    """

    plan: pl.LazyFrame
    present: set[str]
    available: list[str]
    files: tuple[str, ...] = ()
    format: str | None = None
    notes: tuple[str, ...] = ()
    keeping: Any = None


def open_export(
    adapter: Adapter,
    source: Any,
    columns: Mapping[str, Column],
    *,
    format: str | None = None,
    certain: Collection[str] = (),
) -> Opened:
    """Plan to read the wanted columns of an export.

    Parameters
    ----------
    adapter : Adapter
        Whose export it is.
    source : object
        Paths, or anything that `read_events` takes.
    columns : mapping of str to Column
        What is wanted, by name.
    format : str, optional
        The format of files whose names do not tell it.
    certain : collection of str
        The names of which it has to be known whether the export has them; JSON may have the others or not.

    Returns
    -------
    Opened
        Nothing is read but what tells the columns; files of JSON that are no lines and archives are unpacked.

    Raises
    ------
    JourneykitError
        If there is nothing to read, or a file is broken.
    """
    if format is not None and format not in FORMATS:
        raise ParameterError.choice("format", format, FORMATS)
    if not is_paths(source):
        plan = open_source(source, format=format)
        return _opened(adapter, [_run(plan, adapter.rows)], columns, ExportFiles([], ""), certain)
    with engine_errors("opening the export"):
        found = files_of(adapter, source, format)
    # Names of formats of ours, and of files without an ending, tell nothing: what was found is passed on.
    files = PreparedLog(adapter.title, pl.LazyFrame(), tuple(found.names), _known(found.format))
    with blaming(files), engine_errors("opening the export"):
        runs = _runs(adapter, found, columns)
        return _opened(adapter, runs, columns, found, certain)


def _known(kind: str) -> str | None:
    """Give the formats of which a broken file can be found."""
    return kind if kind in SOURCE_FORMATS else None


def _runs(adapter: Adapter, found: ExportFiles, columns: Mapping[str, Column]) -> list[Run]:
    names, kind = found.names, found.format
    if kind == "ndjson":
        places = [place for column in columns.values() for place in column.places]
        paths = [name if is_remote(name) else glob.escape(name) for name in names]
        schema = text_schema(places, adapter.rows)
        plan = pl.scan_ndjson(paths, schema=schema, ignore_errors=True)
        return [_run(plan, adapter.rows, names)]
    if kind == "access_log":
        return [_run(access_log.scan(names), None, names)]
    if kind == "xes":
        wanted = {place for column in columns.values() for place in column.places}
        return [_run(xes_parsing.read(names, wanted), None, names)]
    return _joined(
        _run(_scan(name, kind, found.headers.get(name, ())), adapter.rows, [name]) for name in names
    )


def _scan(name: str, kind: str, header: Sequence[str]) -> pl.LazyFrame:
    if kind == "parquet":
        return pl.scan_parquet(name, glob=is_remote(name))
    if header:
        _check_width(name, len(header))
        return pl.scan_csv(
            name,
            separator="\t",
            has_header=False,
            quote_char=None,
            schema=dict.fromkeys(header, pl.String),
            glob=is_remote(name),
        )
    return pl.scan_csv(name, separator=SEPARATORS[kind], infer_schema=False, glob=is_remote(name))


def _check_width(name: str, width: int) -> None:
    """Refuse a file without a header that has another number of columns."""
    if is_remote(name):
        return
    with open_text(name) as lines:
        found = lines.readline().count("\t") + 1
    if found != width:
        reason = f"line 1 has {found:,} fields, and {width:,} were expected"
        raise UnreadableFileError(name, "tsv", reason, "Check that it is this tool's export.")


def _run(plan: pl.LazyFrame, rows: str | None, names: Sequence[str] = ()) -> Run:
    schema = plan.collect_schema()
    if rows is not None and isinstance(schema.get(rows), pl.List):
        plan = plan.explode(rows)
        schema = plan.collect_schema()
    return Run(plan, schema, tuple(names))


def _joined(runs: Iterable[Run]) -> list[Run]:
    """Join neighbouring files of equal columns."""
    found: list[list[Run]] = []
    for run in runs:
        if found and found[-1][0].schema == run.schema:
            found[-1].append(run)
        else:
            found.append([run])
    return [
        Run(
            pl.concat([run.plan for run in each]) if len(each) > 1 else each[0].plan,
            each[0].schema,
            tuple(name for run in each for name in run.files),
        )
        for each in found
    ]


def _opened(
    adapter: Adapter,
    runs: list[Run],
    columns: Mapping[str, Column],
    found: ExportFiles,
    certain: Collection[str],
) -> Opened:
    types = {name: _common(runs, column) for name, column in columns.items()}
    plans = [
        run.plan.select(_read(run, columns[name], dtype).alias(name) for name, dtype in types.items())
        for run in runs
    ]
    plan = pl.concat(plans) if len(plans) > 1 else plans[0]
    places = dict.fromkeys(place for column in columns.values() for place in column.places)
    local = [name for name in found.names if not is_remote(name)]
    if found.format == "ndjson" and local:
        looked: list[drift.Looked] = [
            ((name,), sampling.kinds(name, places, adapter.rows)) for name in sampling.some(local)
        ]
    else:
        looked = [(run.files, _kinds(run, places)) for run in runs]
    seen = {place for _, kinds in looked for place in kinds}
    present = {name for name, column in columns.items() if seen.intersection(column.places)}
    if found.format == "ndjson":
        # What is rare may stand in later lines: what has to be there is looked for in all of them.
        unseen = [name for name in columns if name not in present]
        present |= {name for name in unseen if name not in certain}
        present |= _met(plan, [name for name in unseen if name in certain])
    return Opened(
        plan,
        present,
        _available(adapter, runs, local if found.format == "ndjson" else []),
        tuple(found.names),
        _known(found.format),
        (*found.notes, *(drift.notes(looked) if len(looked) > 1 else ())),
        found.folder,
    )


def _available(adapter: Adapter, runs: Sequence[Run], lines: Sequence[str]) -> list[str]:
    """List what an export has, for a message: the schema that JSON is read by is our own."""
    if lines:
        return sampling.names(lines[0], adapter.rows)
    return list(dict.fromkeys(name for run in runs for name in run.schema))


def _kinds(run: Run, places: Iterable[str]) -> dict[str, str]:
    kinds = {place: pair[1] for place in places if (pair := find(run.schema, place))}
    return {place: sampling.NESTED if kind.is_nested() else str(kind) for place, kind in kinds.items()}


def _met(plan: pl.LazyFrame, names: Sequence[str]) -> set[str]:
    """Return which columns have a value."""
    if not names:
        return set()
    flags = plan.select(pl.col(names).is_not_null().any()).collect()
    return {name for name in names if flags[name][0]}


def _common(runs: Sequence[Run], column: Column) -> Any:
    """Return the type that a column is read as: the stated one, that of all files, or text if they differ."""
    if column.dtype is not None:
        return column.dtype
    kinds = [found[1] for run in runs for place in column.places if (found := find(run.schema, place))]
    known = list(dict.fromkeys(kind for kind in kinds if kind != pl.Null))
    return known[0] if len(known) == 1 else pl.String


def _read(run: Run, column: Column, dtype: Any) -> pl.Expr:
    found = [pair for place in column.places if (pair := find(run.schema, place))]
    values = [value if kind == dtype else _cast(value, kind, dtype) for value, kind in found]
    return pl.coalesce(values) if values else pl.lit(None, dtype)


def _cast(value: pl.Expr, kind: pl.DataType, dtype: Any) -> pl.Expr:
    """Read a value as another type; what cannot be is null, and what is nested becomes JSON where it can."""
    if dtype == pl.String and isinstance(kind, pl.Struct):
        return value.struct.json_encode()
    if isinstance(kind, pl.List | pl.Array | pl.Struct | pl.Object) or kind == pl.Binary:
        return pl.lit(None, dtype)
    return value.cast(dtype, strict=False)
