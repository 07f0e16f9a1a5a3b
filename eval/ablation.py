"""What every voice of the ensemble is worth: each taken away in turn, and everything fitted again.

    python eval/ablation.py ../shared/data [--model default] [--splits test-seen,test-unseen]

Whatever is left is fitted on fr19/judge as the shipped ensemble is, from its weights (those of the
beams are kept), then reads the splits. A voice that only judges texts is taken from the rivals that
everything has proposed; where it could have proposed some, they are proposed anew. Readings are
kept under `eval/readings/ablation`, so that an interrupted run goes on where it stopped; `--table`
only scores them. Writes eval/ablation.md.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

import click

sys.path.insert(0, str(Path(__file__).parent))

from run import commit, percent  # noqa: E402
from stored import FOLDER, load, store  # noqa: E402

from ensemble_htr.combine import Case, Judge, JudgeModel, Mode, plain_judge  # noqa: E402
from ensemble_htr.decode import BeamOptions  # noqa: E402
from ensemble_htr.evaluate import Report, score_records  # noqa: E402
from ensemble_htr.io.records import Record  # noqa: E402
from ensemble_htr.pipeline import PipelineOptions  # noqa: E402
from ensemble_htr.text import graphemes, has_letter, profile  # noqa: E402
from ensemble_htr.train.arcs import learn_scorer  # noqa: E402
from ensemble_htr.train.bench import Bench, Networks  # noqa: E402
from ensemble_htr.train.fit import fit_judge, fit_rest  # noqa: E402
from ensemble_htr.train.judge import Item, fit_mode  # noqa: E402
from ensemble_htr.train.readings import Heard, each_page, hear  # noqa: E402
from ensemble_htr.types import JointOptions  # noqa: E402

HERE = Path(__file__).parent
FULL = "everything"
LANGUAGE = "lm"


@dataclass(frozen=True)
class Variant:
    """Who speaks; ``silent`` names voices (`LANGUAGE`: the forward model)."""

    name: str
    heard: tuple[str, ...] | None = None  # recognizers, None = all
    silent: tuple[str, ...] = ()
    mode: str = "image+lm"
    n_best: bool = False  # lists of single recognizers, where the joint search proposes
    joint: bool = True
    fitted: bool = True
    guarded: bool = True
    calibrated: bool = True
    anew: bool = True  # rivals are proposed anew; else those of everything are judged

    def search(self, joint: JointOptions) -> JointOptions:
        """The joint search, which is silent without a language model and has no words without the
        list of them."""
        on = self.joint and LANGUAGE not in self.silent
        words = 0.0 if "words" in self.silent else joint.words
        return replace(joint, on=on, words=words, alone=not self.n_best)

    @property
    def file(self) -> str:
        return self.name.replace(" ", "-")


def variants(recognizers: Sequence[str], voices: Sequence[str]) -> list[Variant]:
    """Everything, everything but one, and everything with the n-best lists that the joint search
    makes superfluous; ``voices`` are those besides the forward model."""
    found = [Variant(FULL)]
    for gone in recognizers:
        left = tuple(r for r in recognizers if r != gone)
        found.append(Variant(f"no {gone}", heard=left))
    found += [
        Variant("n-best lists too", n_best=True),
        Variant("no joint search", joint=False),
        Variant("no forced scores", mode="text+lm"),
        Variant("no language model", silent=(LANGUAGE,)),
    ]
    found += [Variant(f"no {voice}", silent=(voice,), anew=False) for voice in voices]
    lists = tuple(v for v in voices if v != "backward")
    if lists:
        found.append(Variant("no lexicon", silent=lists))
    return [
        *found,
        Variant("no language at all", silent=(LANGUAGE, *voices), mode="image"),
        Variant("no learned weights", fitted=False),
        Variant("no guard", guarded=False, anew=False),
        Variant("no calibration", calibrated=False, anew=False),
    ]


class Study:
    """The lines of a split as they are heard, and what was made of them, kept while it is used."""

    def __init__(self, bench: Bench, folders: Mapping[str, Path], beam: BeamOptions, jobs: int):
        self.bench, self.folders, self.beam, self.jobs = bench, folders, beam, jobs
        self.lines: dict[str, list[Heard]] = {}
        self._networks: tuple[object, dict[str, list[Networks]]] = None, {}
        self._cases: dict[str, list[Case]] = {}  # of everything, by split
        modes = bench.pipeline.judge.model.modes
        self.full = modes["image+lm"]
        self.modes = modes

    def heard(self, split: str) -> list[Heard]:
        if split not in self.lines:
            pages = each_page(hear, self.folders[split], self.bench.pipeline.options, self.jobs)
            self.lines[split] = [line for page in pages for line in page]
        return self.lines[split]

    def networks(
        self, split: str, lm: bool, joint: JointOptions, heard: Collection[str] | None
    ) -> list[Networks]:
        key = lm, joint, heard
        if self._networks[0] != key:  # of one kind at a time: they are large
            self._networks = key, {}
        kept = self._networks[1]
        if split not in kept:
            beam = self.beam if lm else replace(self.beam, alpha=0.0)
            kept[split] = self.bench.networks(self.heard(split), beam, joint, heard)
        return kept[split]

    def fit(self, variant: Variant) -> Mode:
        """The weights of a variant, fitted on the judge split."""
        if variant.name == FULL:
            return self.full
        if not variant.fitted:
            return replace(plain_judge().modes[variant.mode], voices={})
        if not variant.calibrated:
            return replace(self.full, scorer=None)
        lines = self.heard("judge")
        if variant.anew:
            networks, start = self._of(variant, "judge"), self.modes[variant.mode]
            return fit_judge(
                self.bench, variant.mode, lines, networks, variant.heard, variant.silent, start
            )
        cases = [muted(case, variant.silent) for case in self.cases("judge")]
        items = [Item(c, graphemes(h.truth), h.doc) for c, h in zip(cases, lines, strict=True)]
        if not variant.guarded:
            free = replace(self.full, guard=0.0, list_guard=0.0, list_margin=0.0)
            plain = replace(free, scorer=None)
            judge = Judge(JudgeModel(modes={variant.mode: plain}))
            return replace(plain, scorer=learn_scorer(judge, items, plain))
        left = {v: w for v, w in self.full.voices.items() if v in cases[0].voices}
        start = replace(self.full, voices=left, guard=0.0, scorer=None)
        letters = [item for item in items if has_letter("".join(item.truth))]
        mode = fit_mode(letters, start, generic=False, lm=True).mode
        return fit_rest(variant.mode, items, mode)

    def cases(self, split: str) -> list[Case]:
        """The rivals of everything."""
        if split not in self._cases:
            networks = [n.full for n in self._of(Variant(FULL), split)]
            found = self.bench.cases("image+lm", self.full, networks, self.heard(split))
            self._cases[split] = found
        return self._cases[split]

    def read(self, variant: Variant, split: str, mode: Mode) -> list[Record]:
        lines, images = self.heard(split), variant.mode.startswith("image")
        if variant.anew and variant.name != FULL:
            networks = [n.full if images else n.rows for n in self._of(variant, split)]
            seen = lines if images else ()
            cases = self.bench.cases(variant.mode, mode, networks, seen, variant.heard)
        else:
            cases = [muted(case, variant.silent) for case in self.cases(split)]
        judge = Judge(JudgeModel(modes={variant.mode: mode}))
        readings = [judge.decide(case, mode) for case in cases]
        return [
            Record(
                h.id, r.text, h.page, h.doc, r.confidences,
                words=tuple((w.text, w.confidence) for w in r.words), confidence=r.confidence,
            )
            for h, r in zip(lines, readings, strict=True)
        ]  # fmt: skip

    def _of(self, variant: Variant, split: str) -> list[Networks]:
        """Its networks; without images what was proposed from them stays."""
        joint = variant.search(self.bench.pipeline.config.joint)
        found = self.networks(split, LANGUAGE not in variant.silent, joint, variant.heard)
        if not variant.mode.startswith("image"):
            return [n._replace(rows=n.full) for n in found]
        return found


def run(study: Study, wanted: Sequence[Variant], splits: Sequence[str], folder: Path) -> None:
    """Read the splits in every way that is not there yet. Variants that share networks follow one
    another."""
    order = sorted(
        wanted,
        key=lambda v: (
            v.anew and v.name != FULL,
            LANGUAGE in v.silent,
            v.heard or (),
            not v.joint,
            v.n_best,
        ),
    )
    for variant in order:
        left = [s for s in splits if not (folder / f"{variant.file}-{s}.jsonl.xz").exists()]
        if not left:
            continue
        click.echo(f"{variant.name}: {', '.join(left)}", err=True)
        mode = study.fit(variant)
        for split in left:
            truth = [Record(h.id, h.truth, h.page, h.doc) for h in study.heard(split)]
            rows = {variant.name: study.read(variant, split, mode)}
            store(folder / f"{variant.file}-{split}.jsonl.xz", truth, rows)


def muted(case: Case, silent: Collection[str]) -> Case:
    """The case without what some of the voices say."""
    keep = [i for i, voice in enumerate(case.voices) if voice not in silent]
    return replace(case, voices=tuple(case.voices[i] for i in keep), said=case.said[:, keep])


def reports(
    wanted: Sequence[Variant], splits: Sequence[str], folder: Path
) -> Iterator[tuple[str, list[Record], dict[str, list[Record]], Report]]:
    """Each split with its lines, all readings that are there, and their scores."""
    for split in splits:
        truth: list[Record] = []
        rows: dict[str, list[Record]] = {}
        for variant in wanted:
            path = folder / f"{variant.file}-{split}.jsonl.xz"
            if path.exists():
                truth, found = load(path)
                rows |= found
        if rows:
            report = score_records(truth, rows, profile("fr-archive"), letters_only=True)
            yield split, truth, rows, report


def row(report: Report, name: str) -> str:
    """One system of a split: CER, difference to everything, confidences."""
    system = next(s for s in report.systems if s.name == name)
    sure = system.confidences
    assert sure.characters is not None and sure.words is not None and sure.lines is not None
    cells = [name, percent(system.overall.cer.value), "", "", percent(system.overall.wer.value)]
    if system.difference is not None:
        d = system.difference
        cells[2] = f"{100 * d.cer.value:+.2f} [{100 * d.cer.low:+.2f}, {100 * d.cer.high:+.2f}]"
        cells[3] = f"{d.p:.3f}" if d.p >= 0.0005 else "< .001"
    levels = (sure.characters, sure.words, sure.lines)
    cells += [f"{level.calibration.ece:.3f}" for level in levels]
    cells += [f"{sure.words.calibration.auroc:.3f}", f"{100 * sure.lines.review.found:.0f}"]
    return "| " + " | ".join(cells) + " |"


HEAD = (
    "| | CER % | difference | p | WER % | ECE characters | words | lines | AUROC words | "
    "errors in the 20 % least sure lines |\n|---|" + "---|" * 9
)


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--model", default="default", show_default=True)
@click.option("--splits", default="test-seen,test-unseen", show_default=True)
@click.option("--jobs", default=2, show_default=True)
@click.option("--only", multiple=True, help="Of the variants, by name; the table has all.")
@click.option("--table", is_flag=True, help="Score what is there; read nothing.")
@click.option("-o", "--out", type=click.Path(path_type=Path), default=HERE / "ablation.md")
def main(
    data: Path, model: str, splits: str, jobs: int, only: tuple[str, ...], table: bool, out: Path
) -> None:
    """Take every voice of the ensemble away in turn."""
    folder, names = FOLDER / "ablation", splits.split(",")
    folder.mkdir(parents=True, exist_ok=True)
    with Bench(PipelineOptions(model=model), jobs) as bench:
        pipeline = bench.pipeline
        spoken = pipeline.judge.model.modes["image+lm"].voices
        voices = [v.name for v in pipeline.judge.voices if spoken.get(v.name, 0.0) > 0]
        dumb = [v.name for v in pipeline.judge.voices if v.name not in voices]
        wanted = variants([r.name for r in pipeline.recognizers], voices)
        if not table:
            folders = {s: data / "fr19" / s for s in ["judge", *names]}
            study = Study(bench, folders, pipeline.config.beam, jobs)
            run(study, [v for v in wanted if not only or v.name in only], names, folder)
    parts = [
        "# What every voice is worth",
        f"`python eval/ablation.py DATA --model {model}` on {date.today()}, commit {commit()}. "
        "Each voice is taken away in turn; what is left is fitted again on fr19/judge (weights, "
        "arc scorer, confidences; the beam's weights are kept) and reads the lines with a letter, "
        "profile fr-archive. Differences are paired, less everything, with 95 % intervals by "
        "document and a sign-flip test. Voices of weight 0, which nothing is to be taken from: "
        f"{', '.join(dumb) or 'none'}.",
    ]
    for split, _, rows, report in reports(wanted, names, folder):
        table_rows = [row(report, v.name) for v in wanted if v.name in rows]
        parts.append(f"## {split}\n\n" + "\n".join([HEAD, *table_rows]))
        if absent := [v.name for v in wanted if v.name not in rows]:
            parts.append(f"Not read yet: {', '.join(absent)}.")
    out.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    click.echo("\n\n".join(parts))


if __name__ == "__main__":
    main()
