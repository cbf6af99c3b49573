r"""Names from a log in languages that would obey them: HTML, SVG, Markdown, DOT, Mermaid, TOML, spreadsheets.

A name is data: whatever it holds is shown and never run. Each language has its rules here, once. Characters that nobody
sees, or that turn the text around them, are shown by their escapes first, but in TOML, which is read back.
"""

from __future__ import annotations

import json
import re

import polars as pl

_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\x9f"  # what a terminal or a parser obeys, line breaks included
    "\u2028\u2029"  # line and paragraph separators
    "\u202a-\u202e\u2066-\u2069"  # embeddings, overrides and isolates of the writing direction
    "\ud800-\udfff\ufffe\uffff]"  # no characters at all
)
_MARKDOWN = re.compile(r"[\\`*_{}\[\]()#+\-.!|~:$@^=]")
_FORMULA = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20"  # the wide ones too
FORMULA = re.compile(f"^[{re.escape(_FORMULA)}]")


def visible(text: str) -> str:
    r"""Show characters without a shape, and those that steer the writing direction, by their escapes.

    Emoji, accents and right-to-left scripts stay as they are.

    Examples
    --------
    >>> visible("a\nb \u202e c")
    'a\\nb \\u202e c'
    """
    return _UNSEEN.sub(lambda found: repr(found[0])[1:-1], text)


def markup(text: str) -> str:
    """Write a name as text or as a quoted attribute of HTML, SVG or any XML.

    Examples
    --------
    >>> markup('<b title="x">')
    '&lt;b title=&quot;x&quot;&gt;'
    """
    from html import escape

    return escape(visible(text))


def markdown(text: str) -> str:
    r"""Write a name as plain words of Markdown, in a cell of a table too.

    Examples
    --------
    >>> markdown("*a* | <b>")
    '\\*a\\* \\| &lt;b&gt;'
    """
    return (
        _MARKDOWN.sub(r"\\\g<0>", visible(text))
        .replace("&", "&amp;")
        .replace("<", "&lt;")
        .replace(">", "&gt;")
    )


def dot(text: str) -> str:
    r"""Write a name as a quoted id or label of the DOT language, quotes included.

    Examples
    --------
    >>> print(dot('say "\\N"'))
    "say \"\\N\""
    """
    return '"{}"'.format(visible(text).replace("\\", "\\\\").replace('"', '\\"'))


def mermaid(text: str) -> str:
    """Write a name as a quoted label of Mermaid, quotes included: what is no letter, digit or blank by its number.

    Examples
    --------
    >>> mermaid("add to <cart>")
    '"add to #60;cart#62;"'
    """
    shown = visible(text)
    return '"{}"'.format("".join(c if c.isalnum() or c in " _" else f"#{ord(c)};" for c in shown))


def toml(text: str) -> str:
    r"""Write a name as a text or a quoted key of TOML, quotes included: all of it, to be read back as it was.

    Examples
    --------
    >>> print(toml('say "no"\n'))
    "say \"no\"\n"
    """
    # A basic string of TOML is one of JSON, but for the character DEL.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def spreadsheet(text: str) -> str:
    """Write a name as a cell that a spreadsheet takes for text: what would begin a formula gets an apostrophe.

    Examples
    --------
    >>> spreadsheet("=1+1"), spreadsheet("view")
    ("'=1+1", 'view')
    """
    return f"'{text}" if FORMULA.match(text) else text


def as_cells(frame: pl.DataFrame) -> pl.DataFrame:
    """Write the texts and the column names of a frame as cells that no spreadsheet takes for formulas.

    Parameters
    ----------
    frame : polars.DataFrame
        Numbers and times in it stay numbers and times.

    Returns
    -------
    polars.DataFrame
        Of the same shape.

    Examples
    --------
    >>> as_cells(pl.DataFrame({"event": ["@sum", "view", None], "count": [-1, 2, 3]})).rows()
    [("'@sum", -1), ('view', 2), (None, 3)]
    """
    texts = [
        name
        for name, dtype in frame.schema.items()
        if dtype in (pl.String, pl.Categorical) or isinstance(dtype, pl.Enum)
    ]
    begins = [pl.col(name).cast(pl.String).str.contains(FORMULA.pattern) for name in texts]
    return frame.with_columns(
        pl.when(found)
        .then(pl.lit("'") + pl.col(name).cast(pl.String))
        .otherwise(pl.col(name).cast(pl.String))
        .alias(name)
        for name, found in zip(texts, begins, strict=True)
    ).rename({name: spreadsheet(name) for name in frame.columns})
