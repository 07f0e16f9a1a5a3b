"""Lexicons of names and places: lists built once, mapped into memory, asked for near entries."""

from ensemble_htr.lexicon.build import build, compiled
from ensemble_htr.lexicon.costs import Costs, learn
from ensemble_htr.lexicon.keys import keys
from ensemble_htr.lexicon.lexicon import Lexicon, Match, NameList
from ensemble_htr.lexicon.lists import Columns, read_entries
from ensemble_htr.lexicon.notes import NameNote, explain_names
from ensemble_htr.lexicon.shelf import lists_of
from ensemble_htr.lexicon.table import word_table
from ensemble_htr.lexicon.voice import NameVoice, WordVoice
from ensemble_htr.names import NameWord, name_words

__all__ = [
    "Columns",
    "Costs",
    "Lexicon",
    "Match",
    "NameList",
    "NameNote",
    "NameVoice",
    "NameWord",
    "WordVoice",
    "build",
    "compiled",
    "explain_names",
    "keys",
    "learn",
    "lists_of",
    "name_words",
    "read_entries",
    "word_table",
]
