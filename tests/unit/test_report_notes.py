"""The words of a journey map: read, added to, never lost."""

from __future__ import annotations

import pickle
import tomllib

import pytest

from journeykit.errors import NotesError
from journeykit.reports.notes import HEADER, MapNotes, StageNotes, edited
from journeykit.reports.recipes import notes_toml
from tests.logs import HOSTILE_NAMES

STAGES = ("awareness", "purchase")
TEXT = """# of the team
[stages.purchase]
owner = "Ann"   # since May
ideas = '''
two
lines'''

[stages.retired]
notes = "still here"
"""


def test_a_new_file_has_a_table_per_stage(tmp_path):
    path = tmp_path / "notes.toml"
    assert edited(path, STAGES) == MapNotes({name: {} for name in STAGES})
    text = path.read_text()
    assert text.startswith(HEADER)
    empty = {"goal": "", "notes": "", "ideas": "", "owner": ""}
    assert tomllib.loads(text) == {"stages": {"awareness": empty, "purchase": empty}}


def test_what_is_there_stays_byte_for_byte(tmp_path):
    path = tmp_path / "notes.toml"
    path.write_bytes(TEXT.replace("\n", "\r\n").encode())
    notes = edited(path, STAGES)
    assert path.read_bytes().startswith(TEXT.replace("\n", "\r\n").encode())
    assert notes.of("purchase") == StageNotes(owner="Ann", ideas="two\nlines")
    assert notes.of("retired").notes == "still here"
    assert notes.of("awareness") == notes.of("nowhere") == StageNotes()
    assert notes.unknown(STAGES) == ("retired",)
    before = path.read_bytes()
    assert edited(path, STAGES) == notes
    assert path.read_bytes() == before


def test_a_file_without_a_last_line_break(tmp_path):
    path = tmp_path / "notes.toml"
    path.write_text('[stages.purchase]\nowner = "Ann"')
    assert edited(path, STAGES).of("purchase").owner == "Ann"
    assert MapNotes.load(path).unknown(STAGES) == ()


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_any_name_of_a_stage_comes_back(name, tmp_path):
    path = tmp_path / "notes.toml"
    assert list(edited(path, [name]).stages) == [name]
    words = MapNotes({name: {"goal": name, "owner": "a\nb\"'\\"}})
    assert MapNotes.loads(notes_toml(words)) == words


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[stages", "it is not TOML: Expected ']' at the end of a table declaration (at end of document)"),
        ("[stagse.a]", "unknown key 'stagse'. Did you mean 'stages'? Available: 'stages'."),
        ("stages = 1", "stages must be a table: write [stages.<name>] above the words of each stage"),
        ("[stages]\na = 1", "stage 'a' must be a table of goal, notes, ideas, owner, not 1"),
        (
            "[stages.a]\nonwer = ''",
            "stage 'a' has no word 'onwer'. Did you mean 'owner'? Available: 'owner', 'notes', 'goal', 'ideas'.",
        ),
        ("[stages.a]\ngoal = 3", "goal of stage 'a' must be a text, not 3"),
    ],
)
def test_what_cannot_be_used(text, problem, tmp_path):
    path = tmp_path / "notes.toml"
    path.write_text(text)
    with pytest.raises(NotesError) as raised:
        edited(path, STAGES)
    assert str(raised.value) == f"the notes {str(path)!r} have 1 problem:\n- {problem}"
    assert path.read_text() == text
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


def test_every_problem_is_listed():
    with pytest.raises(NotesError) as raised:
        MapNotes({"a": {"goal": 1, "x": ""}, "b": "no"})
    assert str(raised.value) == (
        "the notes have 3 problems:\n"
        "- goal of stage 'a' must be a text, not 1\n"
        "- stage 'a' has no word 'x'. Available: 'goal', 'ideas', 'notes', 'owner'.\n"
        "- stage 'b' must be a table of goal, notes, ideas, owner, not 'no'"
    )


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(NotesError) as raised:
        MapNotes.load(tmp_path / "none.toml")
    assert str(raised.value).endswith("it cannot be read: No such file or directory")
    (tmp_path / "latin.toml").write_bytes(b"# \xe9")
    with pytest.raises(NotesError) as raised:
        edited(tmp_path / "latin.toml", STAGES)
    assert str(raised.value).endswith("it is not text in UTF-8 (byte 2)")
