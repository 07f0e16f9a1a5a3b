"""The only place that knows the order of the stages.

page -> rectified lines -> posteriors of every recognizer -> its image-only row and its LM-fused
n-best -> one confusion network -> forced scores of every rival text by every recognizer -> judge.
Foreign engines join as further rows; without images the forced scores fall silent.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ensemble_htr import __version__, jit, registry
from ensemble_htr.align.network import SumOfPairsAligner
from ensemble_htr.combine import (
    Backward,
    ImageScorer,
    Judge,
    JudgeModel,
    LinesScorer,
    ModuleVoice,
    load_judge,
    plain_judge,
)
from ensemble_htr.config import to_mapping
from ensemble_htr.decode import BeamDecoder, BeamOptions, JointDecoder, ctc_score, greedy
from ensemble_htr.decode.pyctc import PyctcDecoder
from ensemble_htr.errors import MissingDependencyError, UsageError
from ensemble_htr.io.cache import LineCache
from ensemble_htr.io.results import PageResult
from ensemble_htr.io.sources import PageSource, find_pages
from ensemble_htr.layout.rectify import RectifyOptions
from ensemble_htr.lexicon import (
    Lexicon,
    NameList,
    NameVoice,
    WordVoice,
    explain_names,
    word_table,
)
from ensemble_htr.packs import unwritable
from ensemble_htr.plan import ModelConfig, PipelineOptions, Plan, fingerprint, fingerprint_of
from ensemble_htr.protocols import (
    Decoder,
    LanguageModel,
    Segmenter,
    SpeakingRecognizer,
    TextVoice,
    WritingRecognizer,
)
from ensemble_htr.scoring import lines_scorer
from ensemble_htr.types import ConfusionNetwork, Hypothesis, Line, Page, Posteriors, Reading

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ensemble_htr.recognizers.frames import FrameReader

__all__ = ["ModelConfig", "Pipeline", "PipelineOptions", "fingerprint", "unburdened"]

_LOG = logging.getLogger("ensemble_htr")
_TOGETHER = 128  # lines whose posteriors are in memory at once
_MANY = 4096  # lines of a page that are cut at once
Written = dict[str, tuple[Hypothesis, list[Hypothesis]]]  # recognizer: its row, its fused n-best


@dataclass(frozen=True)
class Pipeline:
    """A loaded ensemble. Build it with `load`; one process, one thread."""

    options: PipelineOptions
    config: ModelConfig
    recognizers: tuple[FrameReader, ...]
    decoders: Mapping[str, BeamDecoder]
    lm: LanguageModel | None
    judge: Judge
    products: Mapping[str, str]  # name -> sha256
    notices: list[str] = field(default_factory=list)
    cache: LineCache | None = None
    segmenter: Segmenter | None = None  # None where no images are read
    words: Decoder | None = None  # reads what the recognizers saw once more, word by word
    joint: JointDecoder | None = None  # what all recognizers together find likely
    lexicon: Lexicon | None = None  # says of every reading what its names are or might be

    @classmethod
    def load(cls, options: PipelineOptions | None = None) -> Pipeline:
        """Load the products; raises `AssetError`, `UsageError`, `ConfigError` or
        `MissingDependencyError`, each with one clear line."""
        options = options or PipelineOptions()
        plan = Plan.of(options)
        config = plan.config
        beams = options.images and jit.available()
        lm = _load_lm(plan.lm, beams) if plan.lm is not None else None
        judge, notices = _load_judge(plan.judge)
        writes = config.search.decoder
        recognizers = tuple(_recognizer(n, path, writes) for n, path in plan.weights.items())
        decoders = {r.name: BeamDecoder(config.beam, lm, r.name) for r in recognizers}
        segmenter = _segmenter(options.segmenter) if options.images else None
        seed = _seed(config, options.segmenter)
        cache = None if options.cache is None else LineCache(options.cache, seed)
        words, lexicon = _lists({**plan.lexicons, **plan.own_lists})
        joint = _joint(config, lm, words, lexicon) if options.images else None
        judge = judge.hearing(_unheard(plan, judge), _OWN_LIST)
        if plan.pack is not None:
            said = (unwritable(plan.pack, r.name, r.alphabet) for r in recognizers)
            notices = [*notices, *filter(None, said)]
        judging = Judge(judge, lm, [*_voices(plan, words, lexicon), *_modules(config, recognizers)])
        return cls(options, config, recognizers, decoders, lm, judging, plan.products(), notices,
                   cache, segmenter, _word_reader(plan), joint, lexicon)  # fmt: skip

    def fingerprint(self) -> str:
        """sha256 over everything that decides the text, but for the pages themselves."""
        return fingerprint_of(self.options, self.config, self.products)

    # ---- pages ---------------------------------------------------------------------------

    def read_page(self, source: PageSource | Path) -> PageResult:
        """Read one page; raises `InputError` and its kin for a page that cannot be read.

        A page of very many lines is read some at a time, and its readings come without their
        networks (see `unburdened`).
        """
        if isinstance(source, Path):
            source = find_pages([source])[0]
        page = source.read()
        readings: dict[str, Reading] = {}
        shapes: list[Line] = []
        for start in range(0, max(1, len(page.lines)), _MANY):
            done, lines = self.cut(replace(page, lines=page.lines[start : start + _MANY]))
            found = unburdened(self.read_lines(lines), len(page.lines))
            readings.update(zip((line.id for line in lines), found, strict=True))
            shapes += done.lines
        return PageResult(replace(done, lines=tuple(shapes)), readings)

    def read_pages(self, sources: Sequence[PageSource]) -> list[PageResult]:
        """Read many one-line pages together (lines of one width share a pass of the nets)."""
        cut = [self.cut(source.read()) for source in sources]
        readings = iter(self.read_lines([line for _, lines in cut for line in lines]))
        return [PageResult(page, {x.id: next(readings) for x in lines}) for page, lines in cut]

    def cut(self, page: Page) -> tuple[Page, list[Line]]:
        """Load the page's image and cut its lines; the page comes back in the image's pixels, with
        only the lines that ``options.select`` wants."""
        _need({"cv2": "OpenCV"})
        page = self.options.select.of(page)
        return self._cut(page) if self.cache is None else self.cache.cut(page, self._cut)

    def _cut(self, page: Page) -> tuple[Page, list[Line]]:
        from ensemble_htr.io.images import load_page
        from ensemble_htr.layout.preprocess import cut_lines, cut_whole

        page, pixels = load_page(page)
        if page.format == "image" and not page.lines:
            page = self._segmented(page, pixels)
        elif page.format == "image":
            return page, [cut_whole(pixels, page.lines[0].id, self.config.preprocess)]
        return page, cut_lines(pixels, page.lines, self.config.preprocess)

    def _segmented(self, page: Page, pixels: NDArray[np.uint8]) -> Page:
        assert self.segmenter is not None
        lines = self.segmenter.segment(pixels)
        if not lines:
            _LOG.warning("%s: no line of text was found on this page", page.image or page.stem)
        return replace(page, lines=lines)

    # ---- lines ---------------------------------------------------------------------------

    def read_lines(self, lines: Sequence[Line]) -> list[Reading]:
        """Read rectified lines with all recognizers together, some at a time."""
        return self.combine_with_images(lines, [()] * len(lines))

    def _read_together(
        self,
        lines: Sequence[Line],
        rows: Sequence[Sequence[Hypothesis]],
        alternatives: Sequence[Sequence[Hypothesis]],
        use_lm: bool = True,
    ) -> list[Reading]:
        heard = [r.posteriors(lines) for r in self.recognizers]
        each = list(zip(*heard, strict=True)) if heard else [()] * len(lines)
        return self.judge_lines(each, list(zip(rows, alternatives, strict=True)), use_lm)

    def written(self, heard: Sequence[Sequence[Posteriors]]) -> list[Written]:
        """What the decoders of the recognizers that have one write, line by line (they write many
        lines side by side); ``heard`` has the posteriors of each recognizer."""
        found: list[Written] = [{} for _ in (heard[0] if heard else ())]
        for recognizer, posteriors in zip(self.recognizers, heard, strict=True):
            search = self.config.search
            if search.write and isinstance(recognizer, WritingRecognizer):
                spoken = self.lm is not None and search.alpha > 0
                plain = replace(search, beam=1, n_best=1) if spoken else search
                alone = recognizer.write(posteriors, plain)
                fused = recognizer.write(posteriors, search, self.lm) if spoken else alone
                for line, one, more in zip(found, alone, fused, strict=True):
                    line[recognizer.name] = (one[0], more)
        return found

    def combine_line(
        self,
        rows: Sequence[Hypothesis],
        alternatives: Sequence[Hypothesis] = (),
        use_lm: bool = True,
    ) -> Reading:
        """Judge readings of any engines (distinct ``source``) without an image."""
        network = SumOfPairsAligner().align(rows, alternatives)
        return self._named(self.judge.read(network, use_lm=use_lm))

    def combine_with_images(
        self,
        lines: Sequence[Line],
        rows: Sequence[Sequence[Hypothesis]],
        alternatives: Sequence[Sequence[Hypothesis]] = (),
        use_lm: bool = True,
    ) -> list[Reading]:
        """Judge foreign readings together with our own recognizers' of the same line images, some
        lines at a time; ``rows[i]`` and ``alternatives[i]`` are those of ``lines[i]``."""
        others = alternatives or [()] * len(lines)
        starts = range(0, len(lines), _TOGETHER)
        parts = [slice(i, i + _TOGETHER) for i in starts]
        return [r for p in parts for r in self._read_together(lines[p], rows[p], others[p], use_lm)]

    def hypotheses(
        self, posteriors: Sequence[Posteriors], written: Written | None = None, n_best: bool = True
    ) -> tuple[list[Hypothesis], list[Hypothesis]]:
        """Of one line: every recognizer's image-only row, and (unless not ``n_best``) its LM-fused
        n-best.

        One that writes is two engines: its decoder under its own name, and as ``NAME-ctc`` what
        its posteriors say (if it does not write, see `SearchOptions`, the one is all there is).
        ``written`` is the line's part of `written`.
        """
        if written is None:
            (written,) = self.written([[p] for p in posteriors]) or [{}]
        rows, alternatives = [], []
        for recognizer, p in zip(self.recognizers, posteriors, strict=True):
            name = recognizer.name
            if name in written:
                row, fused = written[name]
                rows.append(row)
                alternatives += fused if n_best else []
                name = f"{name}-ctc"
            rows.append(greedy(p, name))
            found = self.decoders[recognizer.name].decode(p) if n_best else []
            if self.words is not None:
                found = [*found, *self.words.decode(p, self.config.words.n_best)]
            alternatives += [replace(h, source=name) for h in found]
        return rows, alternatives

    def uses_n_best(self, use_lm: bool = True) -> bool:
        """Whether n-best lists of single recognizers join the network: not beside a joint search,
        which finds what they would (see `JointOptions.alone`)."""
        return self.joint is None or not use_lm or not self.config.joint.alone

    def proposals(self, posteriors: Sequence[Posteriors]) -> list[Hypothesis]:
        """Of one line: what all recognizers together, the language model and the lexicon find
        likely; a subset of the recognizers speaks with the weight of all."""
        if self.joint is None:
            return []
        names, said = self.config.recognizers, self.config.joint.nets
        known = dict(zip(names, said or [1.0] * len(names), strict=True))
        nets = [known.get(r.name, sum(known.values()) / len(known)) for r in self.recognizers]
        total = self.config.joint.total if not said else sum(said)
        return self.joint.decode(posteriors, [n * total / max(sum(nets), 1e-9) for n in nets])

    def scorer(self, posteriors: Sequence[Posteriors]) -> ImageScorer:
        """The forced scores of any texts by every recognizer that has seen this line."""
        score = self.lines_scorer([posteriors])
        return lambda texts: score({0: texts})[0]

    def lines_scorer(self, heard: Sequence[Sequence[Posteriors]]) -> LinesScorer:
        """The same for many lines, ``heard`` by every recognizer each."""
        return lines_scorer(self.recognizers, heard, self.config.search.dictated)

    def lm_fits(self, texts: Iterable[str]) -> tuple[bool, float]:
        """Whether foreign text is likely enough under the LM to let it speak, and the mean bits
        per character it needs (``inf`` without an LM)."""
        speaker = self.judge.speaker
        if speaker is None:
            return False, float("inf")
        heard = [speaker.text(tuple(text)) for text in texts if text]
        tokens = sum(h.tokens + 1 for h in heard)
        bits = -sum(h.logp for h in heard) / max(1, tokens) / 0.6931471805599453
        return bits <= self.judge.model.foreign_bits, bits

    def judge_line(
        self,
        posteriors: Sequence[Posteriors],
        rows: Sequence[Hypothesis] = (),
        alternatives: Sequence[Hypothesis] = (),
        use_lm: bool = True,
    ) -> Reading:
        """Judge one line from its posteriors, one of each recognizer, and foreign readings."""
        return self.judge_lines([posteriors], [(rows, alternatives)], use_lm)[0]

    def judge_lines(
        self,
        heard: Sequence[Sequence[Posteriors]],
        foreign: Sequence[tuple[Sequence[Hypothesis], Sequence[Hypothesis]]] = (),
        use_lm: bool = True,
    ) -> list[Reading]:
        """Judge many lines, each from the posteriors of every recognizer and the rows and
        alternatives of other engines; as one by one, but quicker."""
        written = self.written(list(zip(*heard, strict=True)))
        networks = []
        for i, posteriors in enumerate(heard):
            rows, alternatives = foreign[i] if foreign else ((), ())
            taken = {row.source for row in rows}
            own, own_alternatives = self.hypotheses(
                posteriors, written[i], self.uses_n_best(use_lm)
            )
            if clash := sorted(taken & {row.source for row in own}):
                raise UsageError(
                    f"engine '{clash[0]}' has the name of our own recognizer: rename it"
                )
            proposals = self.proposals(posteriors) if use_lm else []
            alternatives = [*alternatives, *own_alternatives]
            networks.append(SumOfPairsAligner().align([*rows, *own], alternatives, proposals))
        readings = self.judge.read_many(networks, self.lines_scorer(heard), use_lm)
        return [self._named(reading) for reading in readings]

    def _named(self, reading: Reading) -> Reading:
        if self.lexicon is None:
            return reading
        notes = explain_names(reading, self.lexicon)
        return replace(reading, names=tuple(note.as_row() for note in notes)) if notes else reading


def _segmenter(name: str) -> Segmenter:
    found = registry.load("segmenters", name)()
    if not isinstance(found, Segmenter):
        raise UsageError(f"segmenter '{name}': its plug-in does not return a Segmenter")
    return found


def _seed(config: ModelConfig, segmenter: str) -> str:
    """What decides how the lines of every page are cut."""
    facts = [__version__, to_mapping(config.preprocess), to_mapping(RectifyOptions()), segmenter]
    return json.dumps(facts, sort_keys=True)


def unburdened(readings: Iterable[Reading], lines: int) -> list[Reading]:
    """Readings of a page of so many ``lines`` as they can be kept in memory: with more than 4,096
    the networks, the larger part by far, are let go (alternatives can then not be written), all but
    what was left out of them."""
    return [r if lines <= _MANY else _unburdened(r) for r in readings]


def _unburdened(reading: Reading) -> Reading:
    left = reading.network.quarantined if reading.network is not None else {}
    return replace(
        reading, network=ConfusionNetwork((), quarantined=left) if left else None, slots=()
    )


def _load_lm(path: Path, tables: bool) -> LanguageModel:
    """Compiled code reads tables, KenLM is the quickest for everybody else."""
    from ensemble_htr import lm

    packed = path.suffix not in (".bin", ".binary", ".klm")
    return lm.load(path, "tables" if packed and tables else "auto")


_OWN_LIST = 0.5  # weight of a user's list, with which no judge was fitted: as given names have
_WORDS = "words"  # the list of a lexicon that has the words of the language, and no names


def _lists(paths: Mapping[str, Path]) -> tuple[list[NameList], Lexicon | None]:
    """The words of the language, and the lists of names."""
    lists = [NameList.load(path, name) for name, path in paths.items()]
    names = [each for each in lists if each.name != _WORDS]
    return [each for each in lists if each.name == _WORDS], Lexicon(names) if names else None


def _voices(plan: Plan, words: Sequence[NameList], lexicon: Lexicon | None) -> list[TextVoice]:
    """Those who judge whole texts beside the language model."""
    voices: list[TextVoice] = []
    if plan.backward is not None:
        voices.append(Backward(_load_lm(plan.backward, False)))
    names = lexicon.lists if lexicon is not None else ()
    voices += [WordVoice(each, names) for each in words]
    return [*voices, *NameVoice.each(lexicon)] if lexicon is not None else voices


def _modules(config: ModelConfig, recognizers: Sequence[FrameReader]) -> list[TextVoice]:
    """The first language module that a recognizer brings, unless the model silences them."""
    heard = config.search.write and config.search.inner > 0
    tells = [
        r.tell for r in recognizers if heard and isinstance(r, SpeakingRecognizer) and r.speaks
    ]
    return [ModuleVoice(tell) for tell in tells[:1]]


def _joint(
    config: ModelConfig,
    lm: LanguageModel | None,
    words: Sequence[NameList],
    lexicon: Lexicon | None,
) -> JointDecoder | None:
    """The joint search; without a language model it has nothing to go by."""
    if lm is None or not config.joint.on:
        return None
    table = word_table(words, lexicon.lists if lexicon is not None else ()) if words else None
    return JointDecoder(config.joint, lm, table)


def _unheard(plan: Plan, judge: JudgeModel) -> list[str]:
    """The voices of lists that the judge was not fitted with: the user's, and those of a language
    or a model that brought its own."""
    known = {voice for mode in judge.modes.values() for voice in mode.voices}
    fresh = [f"names-{name}" for name in plan.lexicons if name != _WORDS] if known else []
    return [*(f"names-{name}" for name in plan.own_lists), *(v for v in fresh if v not in known)]


def _word_reader(plan: Plan) -> Decoder | None:
    if not plan.words:
        return None
    from ensemble_htr.lm.words import gather

    return PyctcDecoder(*gather(plan.words, plan.config.words.most), plan.config.words)


def _load_judge(path: Path | None) -> tuple[JudgeModel, list[str]]:
    if path is None:
        return plain_judge(), ["no fitted combiner: every engine has one vote"]
    return load_judge(path), []


def _recognizer(name: str, path: Path, writes: bool) -> FrameReader:
    decoder = BeamDecoder(replace(BeamOptions(), alpha=0.0), None, name)
    if path.suffix == ".onnx":
        _need({"cv2": "OpenCV"})
        found: FrameReader = registry.load("recognizers", "onnx")(
            name, path, decoder=decoder, scorer=ctc_score
        )
        return found
    _need({"torch": "PyTorch", "cv2": "OpenCV", "safetensors": "safetensors"})
    import torch

    from ensemble_htr.recognizers.attention import load_recognizer

    torch.set_num_threads(1)
    return load_recognizer(name, path, decoder=decoder, scorer=ctc_score, writes=writes)


def _need(libraries: Mapping[str, str]) -> None:
    for module, library in libraries.items():
        try:
            __import__(module)
        except ImportError:
            raise MissingDependencyError(library, "recognize", "reading line images") from None
