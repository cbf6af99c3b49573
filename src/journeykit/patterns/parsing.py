"""Reading the text of a pattern; every error points at its column. DEFINITIONS D8.11."""

from __future__ import annotations

import re

from journeykit.errors import PatternError
from journeykit.patterns.syntax import DIRECTLY, UNBOUNDED, Bounds, Connector, Element, Names, Sequence
from journeykit.support.durations import MICROSECONDS

SPECIAL = r"\s\[\]|^$?+*{}()~<>\"=\\"
BARE = re.compile(rf"(?:(?!->)[^{SPECIAL}])+")
CAPTURE = re.compile(r"([^\W\d]\w*)\s*=(?!=)")
AMOUNT = re.compile(r"((?:\d+(?:\.\d+)?(?:us|ms|s|m|h|d|w))+)(?![\w.])|(\d+)\s*events?(?!\w)")
PART = re.compile(r"(\d+(?:\.\d+)?)(us|ms|s|m|h|d|w)")
REPEATS = re.compile(r"\{\s*(\d*)\s*(,?)\s*(\d*)\s*\}")
OPERATORS = ("<=", ">=", "==", "<", ">")
ESCAPES = {'"': '"', "\\": "\\", "n": "\n", "t": "\t", "r": "\r"}
ELEMENT = "an element: a name, \"a quoted name\", '.', '[a|b]' or '[^a|b]'"


def parse(text: str) -> Sequence:
    """Read a pattern.

    Raises
    ------
    PatternError
        If it is not one: with the column, and what was expected there.
    """
    return _Reader(text).pattern()


def quoted(name: str) -> str:
    r"""Write a name as a pattern takes it: bare if it can be, else in quotes.

    Examples
    --------
    >>> print(quoted("add-to-cart"), quoted('say "yes"'), quoted("."))
    add-to-cart "say \"yes\"" "."
    """
    if BARE.fullmatch(name) and name.strip("."):
        return name
    back = {value: "\\" + key for key, value in ESCAPES.items()}
    return '"' + "".join(back.get(character, character) for character in name) + '"'


class _Reader:
    """A place in the text, moving to the right."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0

    def pattern(self) -> Sequence:
        """Read all of it."""
        at_start = self._take("^")
        if at_start:
            self._take("->")
        elements, connectors, at_end = [self._element()], list[Connector](), self._take("$")
        while not at_end and self._rest():
            connector = self._connector()
            if connector.bounds == DIRECTLY and self._take("$"):
                at_end = True
                break
            connectors.append(connector)
            elements.append(self._element())
            at_end = self._take("$")
        if self._rest():
            raise self._error("nothing after '$'")
        return Sequence(tuple(elements), tuple(connectors), at_start, at_end)

    def _element(self) -> Element:
        self._skip()
        column, capture = self.at, None
        if found := CAPTURE.match(self.text, self.at):
            capture, self.at = found[1], found.end()
            self._skip()
        start = self.at
        fits = self._fits()
        written = self.text[start : self.at]
        least, most = self._repeats()
        return Element(fits, least, most, capture, written, column)

    def _fits(self) -> Names:
        if self._take("["):
            return self._class()
        name, bare = self._name(ELEMENT)
        return Names() if bare and name == "." else Names((name,), False)

    def _class(self) -> Names:
        """Read what stands after an opening bracket."""
        negated, names = self._take("^"), list[str]()
        while True:
            self._skip()
            before = self.at
            name, bare = self._name("a name")
            if bare and name == ".":
                self.at = before
                raise self._error('a name: "." means any event only outside of brackets')
            names.append(name)
            if self._take("]"):
                return Names(tuple(dict.fromkeys(names)), negated)
            if not self._take("|"):
                raise self._error("'|' or ']'")

    def _name(self, expected: str) -> tuple[str, bool]:
        """Read a name; say whether it was bare."""
        self._skip()
        if self._take('"'):
            return self._quoted(), False
        found = BARE.match(self.text, self.at)
        if found is None:
            raise self._error(expected)
        if found[0] != "." and not found[0].strip("."):
            raise self._error("one '.', or '.{2}' for two events, or '~>' for any number of events")
        self.at = found.end()
        return found[0], True

    def _quoted(self) -> str:
        opened, letters = self.at - 1, list[str]()
        while self.at < len(self.text):
            letter = self.text[self.at]
            if letter == '"':
                self.at += 1
                return "".join(letters)
            if letter == "\\":
                self.at += 1
                letter = ESCAPES.get(self.text[self.at : self.at + 1], "")
                if not letter:
                    raise self._error('one of \\" \\\\ \\n \\t \\r')
            letters.append(letter)
            self.at += 1
        raise PatternError(self.text, opened, "a closing '\"' for this one")

    def _repeats(self) -> tuple[int, int]:
        for sign, bounds in (("?", (0, 1)), ("+", (1, UNBOUNDED)), ("*", (0, UNBOUNDED))):
            if self._take(sign):
                return bounds
        self._skip()
        if not self.text.startswith("{", self.at):
            return 1, 1
        found = REPEATS.match(self.text, self.at)
        if found is None or not (found[1] or found[3]):
            raise self._error("a number of repeats: '{2}', '{2,}' or '{2,5}'")
        least = int(found[1] or 0)
        most = least if not found[2] else int(found[3]) if found[3] else UNBOUNDED
        if most < max(least, 1):
            raise self._error("repeats from few to many, and at least one")
        self.at = found.end()
        return least, most

    def _connector(self) -> Connector:
        self._skip()
        column = self.at
        if self._take("->"):
            bounds, between = DIRECTLY, Names()
        elif self._take("~>"):
            bounds, between = Bounds(), self._between()
        else:
            raise self._error("'->' (directly next), '~>' (later) or '$' (the end)")
        while self._take("("):
            bounds = bounds.both(self._tests())
        if not bounds.possible:
            raise PatternError(
                self.text, column, "tests that two events can pass; these contradict each other"
            )
        return Connector(between, bounds, column)

    def _between(self) -> Names:
        """Read what may lie between, written at the connector without a blank: ``~>[^help]``."""
        if not self.text.startswith("[", self.at):
            return Names()
        self.at += 1
        return self._class()

    def _tests(self) -> Bounds:
        bounds = self._test()
        while self._take(","):
            bounds = bounds.both(self._test())
        if not self._take(")"):
            raise self._error("',' or ')'")
        return bounds

    def _test(self) -> Bounds:
        self._skip()
        operator = next((each for each in OPERATORS if self._take(each)), None)
        if operator is None:
            raise self._error("one of " + ", ".join(f"'{each}'" for each in OPERATORS))
        self._skip()
        found = AMOUNT.match(self.text, self.at)
        if found is None:
            raise self._error(
                "a duration with its unit, such as '10m', or a number of events, such as '3 events'"
            )
        counts_events = found[2] is not None
        amount = int(found[2]) if counts_events else _microseconds(found[1])
        low, high = limits(operator, amount)
        if high < 0:
            raise self._error("more than that: nothing is less than zero apart")
        self.at = found.end()
        return Bounds(least_events=low, most_events=high) if counts_events else Bounds(low, high)

    def _take(self, sign: str) -> bool:
        self._skip()
        if not self.text.startswith(sign, self.at):
            return False
        self.at += len(sign)
        return True

    def _skip(self) -> None:
        while self.at < len(self.text) and self.text[self.at].isspace():
            self.at += 1

    def _rest(self) -> bool:
        self._skip()
        return self.at < len(self.text)

    def _error(self, expected: str) -> PatternError:
        self._skip()
        return PatternError(self.text, self.at, expected)


def limits(operator: str, amount: int) -> tuple[int, int]:
    """Return the least and the most that pass a comparison with a whole amount."""
    return {
        "<=": (0, amount),
        "<": (0, amount - 1),
        ">=": (amount, UNBOUNDED),
        ">": (amount + 1, UNBOUNDED),
        "==": (amount, amount),
    }[operator]


def _microseconds(duration: str) -> int:
    return round(sum(float(number) * MICROSECONDS[unit] for number, unit in PART.findall(duration)))


def checked(sequence: Sequence, text: str) -> Sequence:
    """Refuse what could match nothing, or means two things.

    Raises
    ------
    PatternError
        If every element may be absent, an element that may be absent stands beside a connector with a test, or two
        elements are captured under one name.
    """
    if all(element.may_be_absent for element in sequence.elements):
        raise PatternError(text, 0, "an element that must be there: this pattern matches nothing, too")
    captured = set[str]()
    for place, element in enumerate(sequence.elements):
        beside = sequence.connectors[max(place - 1, 0) : place + 1]
        if element.may_be_absent and not all(connector.plain for connector in beside):
            raise PatternError(
                text,
                element.column,
                "plain '->' or '~>' beside an element that may be absent: a test would have nothing to compare",
            )
        if element.capture in captured:
            raise PatternError(text, element.column, f"another name than {element.capture!r}, which is taken")
        captured |= {element.capture} if element.capture else set()
    return sequence
