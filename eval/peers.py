"""Our counts beside other evaluators': 1,000 noisy lines, one golden file, one table.

    python eval/peers.py --peers PYTHON [--sclite PATH]

PYTHON has jiwer, rapidfuzz, torchmetrics and dinglehopper (with multimethod < 2); `sclite` is
NIST's, of the Debian package sctk. Writes the golden file `tests/evaluate/peers.json` (pairs, the
others' counts and the profile under which ours are the same, held by
`tests/evaluate/test_peers.py`) and `peers.md`.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import tempfile
import unicodedata
from pathlib import Path
from typing import Any

import click

from ensemble_htr.config import from_mapping
from ensemble_htr.metrics import Counts, char_counts, word_counts
from ensemble_htr.text import PROFILES, Profile, Rules, make_profile

HERE = Path(__file__).parent
GOLDEN = HERE.parent / "tests" / "evaluate" / "peers.json"
SEED, LINES = 17, 1000
Pairs = list[tuple[str, str]]

WORDS = (
    "le la de du et à l'an mil huit cent d’une dame Élisabeth née Dupont veuve Lefèvre sieur M^r "
    "M^me notaire royal ſoussigné présent acte, fait (double) N° 12 1850 demeurant « rue » œuvre "
    "parafé – q̃ 𝒳 a̾ etc. aujourd'hui Saint-Cloud ﬁn"
).split()
# Which of our profiles counts as each of them does; fields of `text.Rules`.
MATCHING: dict[str, dict[str, str]] = {
    "jiwer, characters": {"whitespace": "strip"},
    "jiwer, words": {},
    "rapidfuzz": {},
    "torchmetrics, characters": {},
    "torchmetrics, words": {},
    "dinglehopper, characters": {"form": "NFC", "unit": "grapheme"},
    "sclite, characters": {"costs": "sclite"},
    "sclite, words": {"costs": "sclite"},
}
WHY = {
    "jiwer, characters": "strips the ends of both texts, then compares code points as they are",
    "jiwer, words": "cuts at blanks; strips; no Unicode form",
    "rapidfuzz": "compares code points as they are, blanks at the ends included",
    "torchmetrics, characters": "compares code points as they are, blanks at the ends included",
    "torchmetrics, words": "cuts at white space; no Unicode form",
    "dinglehopper, characters": "NFC and grapheme clusters; blanks as they are",
    "dinglehopper, words": "words by Unicode's boundaries (UAX #29), Saint-Cloud being two and "
    "d'une one, those without a letter or digit left out: no profile of ours cuts so",
    "sclite, characters": "given code points as words; substitutions cost 4, others 3, so it may "
    "take more edits than there need be",
    "sclite, words": "the same costs; no Unicode form",
}


def noisy(seed: int = SEED, lines: int = LINES) -> Pairs:
    """References with all that makes evaluators disagree, and readings of them: NFD beside NFC,
    characters beyond the BMP, combining marks, double blanks and blanks at the ends."""
    rng = random.Random(seed)
    letters = "aeinorstuélm' -.,M12"
    pairs = []
    for _ in range(lines):
        text = " ".join(rng.choices(WORDS, k=rng.randint(1, 9)))
        rate = rng.choice((0.0, 0.03, 0.1, 0.3))
        read = "".join(
            c
            if rng.random() >= rate
            else rng.choice(("", rng.choice(letters), rng.choice(letters), c + rng.choice(letters)))
            for c in text
        )
        if rng.random() < 0.1:
            read = unicodedata.normalize("NFD", read)
        if rng.random() < 0.1:
            text = f" {text} " if rng.random() < 0.5 else text.replace(" ", "  ", 1)
        pairs.append((text, read or "-"))
    return pairs


def sclite_counts(binary: str, pairs: Pairs) -> dict[str, list[int]]:
    """Hits, substitutions, deletions and insertions of characters and of words. Tokens go in as
    numbers, so that nothing is folded or cut."""
    found = {}
    for name in ("characters", "words"):
        codes: dict[str, int] = {}
        texts: list[list[str]] = [[], []]
        for number, pair in enumerate(pairs):
            for side, text in enumerate(pair):
                tokens = list(text) if name == "characters" else text.split()
                line = " ".join(f"t{codes.setdefault(t, len(codes))}" for t in tokens)
                texts[side].append(f"{line} (one-{number:06d})")
        with tempfile.TemporaryDirectory() as folder:
            files = [Path(folder) / f for f in ("ref.trn", "hyp.trn")]
            for file, rows in zip(files, texts, strict=True):
                file.write_text("\n".join(rows) + "\n")
            ref, hyp = map(str, files)
            command = [binary, "-r", ref, "trn", "-h", hyp, "trn", "-i", "rm", "-s"]
            out = subprocess.run(
                [*command, "-o", "pralign", "stdout"], capture_output=True, text=True, check=True
            ).stdout
        rows_found = re.findall(r"Scores: \(#C #S #D #I\) (\d+) (\d+) (\d+) (\d+)", out)
        assert len(rows_found) == len(pairs)
        found[f"sclite, {name}"] = [
            sum(map(int, column)) for column in zip(*rows_found, strict=True)
        ]
    return found


def matching(name: str) -> Profile:
    return make_profile(name, "", from_mapping(MATCHING[name], Rules))


def ours(name: str, pairs: Pairs, profile: Profile) -> Counts:
    count = word_counts if name.endswith("words") else char_counts
    return Counts.sum(count(*pair, profile) for pair in pairs)


def compact(counts: Counts, like: list[int]) -> list[int]:
    """Our counts in the order in which a peer gives its own."""
    if len(like) == 2:
        return [counts.edits, counts.reference]
    return [counts.hits, counts.substitutions, counts.deletions, counts.insertions]


def table(golden: dict[str, Any], pairs: Pairs) -> str:
    profiles = ("strict", "nfc", "fr-archive", "normalised")
    rows = [
        "| counts (errors / reference) | theirs | matching profile | ours under it | "
        + " | ".join(profiles)
        + " | why |",
        "|---|---|---|---|" + "---|" * len(profiles) + "---|",
    ]
    for name, theirs in golden["counts"].items():
        total = theirs if len(theirs) == 2 else [sum(theirs[1:]), sum(theirs[:3])]
        same, rules = "–", "none"
        if name in MATCHING:
            found = ours(name, pairs, matching(name))
            same = f"{found.edits:,} / {found.reference:,}"
            rules = ", ".join(f"`{k} = {v}`" for k, v in MATCHING[name].items()) or "`strict`"
        cells = []
        for profile in profiles:
            found = ours(name, pairs, PROFILES[profile])
            cells.append(f"{found.edits:,} / {found.reference:,}")
        rows.append(
            f"| {name} | {total[0]:,} / {total[1]:,} | {rules} | {same} | "
            f"{' | '.join(cells)} | {WHY[name]} |"
        )
    return "\n".join(rows)


@click.command()
@click.option("--peers", required=True, help="Python with jiwer, torchmetrics, dinglehopper ...")
@click.option("--sclite", default="sclite", show_default=True)
def main(peers: str, sclite: str) -> None:
    """Ask the others, write the golden file and the table."""
    pairs = noisy()
    child = subprocess.run(
        [peers, str(HERE / "peers_child.py")],
        input=json.dumps(pairs),
        capture_output=True,
        text=True,
        check=True,
    )
    golden = json.loads(child.stdout)
    golden["counts"] |= sclite_counts(sclite, pairs)
    golden["versions"]["sctk"] = "2.4.10"
    golden["command"] = "python eval/peers.py --peers PYTHON --sclite PATH"
    golden["matching"] = MATCHING
    golden["pairs"] = pairs
    GOLDEN.write_text(json.dumps(golden, ensure_ascii=False, indent=0) + "\n", encoding="utf-8")
    versions = ", ".join(f"{n} {v}" for n, v in golden["versions"].items())
    text = f"""# The same lines, counted by others

`{golden["command"]}`. {LINES:,} made lines with NFD beside NFC, combining marks, characters beyond
the BMP and blanks of all kinds; {versions}. For every peer's characters and words, but for
dinglehopper's words, there is a profile under which our counts are the same, hits, substitutions,
deletions and insertions apart where it gives them (`tests/evaluate/test_peers.py` holds it). Under
other profiles they differ for the reason in the last column; where ours are lower, the difference
is normalisation and not reading.

{table(golden, pairs)}

Rates differ further. Where the reference is empty, jiwer says 1 whatever was inserted, dinglehopper
and torchmetrics infinity, for two empty texts torchmetrics NaN; here insertions count and nothing
is divided by 0.
"""
    (HERE / "peers.md").write_text(text, encoding="utf-8")
    click.echo(text)


if __name__ == "__main__":
    main()
