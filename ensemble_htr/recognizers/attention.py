"""A trained encoder-decoder as a recognizer: it also writes by itself, and scores by dictation.

*Writing* is a beam search over the autoregressive decoder, all lines of a call side by side, with a
key-value cache (each step computes one character per hypothesis) and an optional language model by
shallow fusion (Gulcehre et al., 2015). The network's own language module, learned from texts alone,
speaks with it in the same way, of all hypotheses in one step. A character earns a bonus, since a
wider beam would else prefer readings that end too soon (word reward: He et al., 2016). What is
finished is ranked together with the encoder's CTC score, as in hybrid decoding (Watanabe et al.,
2017), and with what the encoder's CTC reads by itself, dictated to the decoder (two passes: Sainath
et al., 2019): one that skips or repeats a word has no reading without it in its beam, the CTC has.
*Scoring* is teacher forcing: the decoder is given each text and says how probable every next
character was; the rivals of one line share their beginnings, so they are scored as one tree, every
node once (each node attends to its ancestors).
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ensemble_htr.errors import InputError
from ensemble_htr.protocols import Decoder, LanguageModel, TextScorer
from ensemble_htr.recognizers.ctc import CtcRecognizer, Impression, Precision, log_softmax
from ensemble_htr.recognizers.transformer import Cache, Transformer
from ensemble_htr.recognizers.trees import NODES, Tree, trees
from ensemble_htr.recognizers.weights import Weights, load_weights
from ensemble_htr.types import Hypothesis, Line, Posteriors, SearchOptions

__all__ = ["AttentionRecognizer", "EncoderRecognizer", "load_recognizer"]

END = 0  # code of the end of the line
LINES = 24  # written side by side
USUAL = 1.5  # nats that a character of a text costs: given back, so that no text is too long to say


@dataclass(slots=True)
class _Written:
    """A hypothesis on its way."""

    score: float  # fused
    codes: tuple[int, ...] = ()
    logps: tuple[float, ...] = ()
    state: Hashable = None


@dataclass(slots=True)
class _Sheet:
    """One line while it is written: its hypotheses (always ``beam``, the rest dead) and ends.

    ``limit`` is the most characters that it may have, from what the encoder's CTC reads there: so
    a decoder that repeats itself comes to an end.
    """

    limit: int
    live: list[_Written]
    done: list[_Written] = field(default_factory=list)


class EncoderRecognizer(CtcRecognizer):
    """A transformer of which the encoder alone is heard, by its CTC head: a `CtcRecognizer`."""

    network: Transformer
    keeps = False  # what a decoder needs of each line

    def _precision(self) -> torch.autocast:
        """One context for a whole search: the weights are rounded once, not at every step."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.half)

    @torch.inference_mode()
    def _forward(self, inputs: torch.Tensor, frames: Sequence[int]) -> list[Impression]:
        count = torch.tensor(frames, device=self.device)
        with self._precision():
            encoded, _ = self.network.encode(self.network.columns(inputs), count)
            logp = log_softmax(self.network.ctc(encoded))
        if not self.keeps:
            return [(p[:n], None) for p, n in zip(logp, frames, strict=True)]
        memory = encoded.half().cpu().numpy()
        return [(p[:n], m[: (n + 1) // 2]) for p, m, n in zip(logp, memory, frames, strict=True)]


class AttentionRecognizer(EncoderRecognizer):
    """One that also writes: see `write` and `dictate`."""

    keeps = True

    def read(self, lines: Sequence[Line], n_best: int = 1) -> list[list[Hypothesis]]:
        options = SearchOptions(beam=max(4, n_best), n_best=n_best)
        return self.write(self.posteriors(lines), options)

    def score(self, lines: Sequence[Line], texts: Sequence[Sequence[str]]) -> list[list[float]]:
        """``texts[i]`` are the rival texts of ``lines[i]``, cut into code points by `str`."""
        return self.dictate(self.posteriors(lines), texts)

    # ---- writing -------------------------------------------------------------------------

    def write(
        self,
        heard: Sequence[Posteriors],
        options: SearchOptions | None = None,
        lm: LanguageModel | None = None,
    ) -> list[list[Hypothesis]]:
        """What the decoder writes of each line, or finds likelier in what the CTC proposes, best
        first; ``score`` is its own log-probability with the bonus, the CTC's and the language
        model's share (`SearchOptions`). Raises `InputError` for posteriors that are not of this
        recognizer."""
        options = options or SearchOptions()
        if self.network.language is None:
            options = replace(options, inner=0.0)
        order = sorted(range(len(heard)), key=lambda i: _memory(heard[i]).shape[0])
        found: dict[int, list[Hypothesis]] = {}
        with self._precision():
            for start in range(0, len(order), LINES):
                batch = order[start : start + LINES]
                sheets = self._write([heard[i] for i in batch], options, lm)
                found |= dict(zip(batch, sheets, strict=True))
        return [found[i] for i in range(len(heard))]

    @torch.inference_mode()
    def _write(
        self, heard: Sequence[Posteriors], options: SearchOptions, lm: LanguageModel | None
    ) -> list[list[Hypothesis]]:
        lm = lm if options.alpha > 0 else None
        state = lm.start() if lm is not None else None
        dead = _Written(-math.inf, state=state)
        sheets = [
            _Sheet(_limit(p), [_Written(0.0, state=state)] + [dead] * (options.beam - 1))
            for p in heard
        ]
        cache = self._begin(heard)
        open_ = list(range(len(sheets)))
        codes = torch.full((len(sheets) * options.beam, 1), len(self.alphabet) + 1)
        inner = options.inner
        while open_:
            logp, cache = self._next(codes, cache)
            fused = logp + inner * self._tell(codes, cache)[:, 0] if inner else logp
            going, rows = [], []
            for place, which in enumerate(open_):
                sheet = sheets[which]
                first = place * options.beam
                mine = slice(first, first + options.beam)
                parents = self._grow(sheet, logp[mine], fused[mine], options, lm)
                if parents is not None:
                    going.append(place)
                    rows += [first + parent for parent in parents]
            ended = len(going) < len(open_)
            open_ = [open_[place] for place in going]
            if open_:
                lines = torch.tensor(going, device=self.device) if ended else None
                cache = cache.select(torch.tensor(rows, device=self.device), lines)
                ends = [h.codes[-1] if h.codes else 1 for i in open_ for h in sheets[i].live]
                codes = torch.tensor(ends)[:, None]
        if options.proposed:
            self._propose(sheets, heard, options, lm)
        return [
            self._hypotheses(sheet, p, options, lm) for sheet, p in zip(sheets, heard, strict=True)
        ]

    def _propose(
        self,
        sheets: Sequence[_Sheet],
        heard: Sequence[Posteriors],
        options: SearchOptions,
        lm: LanguageModel | None,
    ) -> None:
        """Add to what is written what the CTC reads, as if the decoder had written it."""
        code = {token: i + 1 for i, token in enumerate(self.alphabet)}
        wanted = []
        for sheet, p in zip(sheets, heard, strict=True):
            found = self.decoder.decode(p, options.proposed)
            known = {h.codes for h in sheet.done}
            wanted.append(
                [t for h in found if (t := tuple(code[c] for c in h.tokens)) not in known]
            )
        told = self._told(wanted) if options.inner else [[0.0] * len(texts) for texts in wanted]
        dictated = self._dictated(heard, wanted)
        for sheet, texts, each, sayings in zip(sheets, wanted, dictated, told, strict=True):
            for text, logps, said in zip(texts, each, sayings, strict=True):
                score = sum(logps) + options.inner * said + options.beta * len(text)
                if lm is not None:
                    state = lm.start()
                    for c in text:
                        spoken, state = lm.score(state, self.alphabet[c - 1])
                        score += options.alpha * spoken
                    score += options.alpha * lm.end(state)
                sheet.done.append(_Written(score, text, tuple(logps)))

    def _grow(
        self,
        sheet: _Sheet,
        logp: NDArray[np.float32],
        weighed: NDArray[np.float32],
        options: SearchOptions,
        lm: LanguageModel | None,
    ) -> list[int] | None:
        """One more character for each hypothesis of a line: the rows that the new ones come from,
        or None if the line is finished. ``weighed`` is ``logp`` with what the language module
        says."""
        grown: list[tuple[float, int, int, float, Hashable]] = []
        count = min(options.beam + 1, logp.shape[1])
        likely = np.argpartition(-weighed, count - 1, axis=1)[:, :count]
        for row, h in enumerate(sheet.live):
            if h.score == -math.inf:
                continue
            for code in likely[row].tolist():
                own = float(logp[row, code])
                fused, state = h.score + float(weighed[row, code]), h.state
                if code == END:
                    if lm is not None:
                        fused += options.alpha * lm.end(h.state)
                    sheet.done.append(_Written(fused, h.codes, (*h.logps, own)))
                    continue
                fused += options.beta
                if lm is not None:
                    spoken, state = lm.score(h.state, self.alphabet[code - 1])
                    fused += options.alpha * spoken
                grown.append((fused, row, code, own, state))
        best = heapq.nlargest(options.beam, grown, key=lambda g: (g[0], -g[1], -g[2]))
        sheet.done = heapq.nlargest(options.n_best, sheet.done, key=lambda h: (h.score, h.codes))
        full = len(sheet.done) >= options.n_best
        bonus = max(0.0, options.beta + options.inner * USUAL) * (
            sheet.limit - len(sheet.live[0].codes) - 1
        )
        hopeless = full and (not best or best[0][0] + bonus <= sheet.done[-1].score)
        if hopeless or not best or len(sheet.live[0].codes) >= sheet.limit:
            if not sheet.done:  # the end never was among the likely: take what stands
                sheet.done = [h for h in sheet.live if h.score > -math.inf]
            return None
        before = sheet.live
        sheet.live = [
            _Written(fused, (*before[row].codes, code), (*before[row].logps, own), state)
            for fused, row, code, own, state in best
        ]
        spare = options.beam - len(best)
        sheet.live += [_Written(-math.inf, sheet.live[0].codes)] * spare
        return [row for _, row, *_ in best] + [0] * spare

    def _hypotheses(
        self,
        sheet: _Sheet,
        heard: Posteriors,
        options: SearchOptions,
        lm: LanguageModel | None,
    ) -> list[Hypothesis]:
        texts = [tuple(self.alphabet[code - 1] for code in h.codes) for h in sheet.done]
        scores = [h.score for h in sheet.done]
        if options.ctc > 0:
            said = self.scorer(heard, texts)
            scores = [a + options.ctc * max(b, -1e6) for a, b in zip(scores, said, strict=True)]
        found = [
            Hypothesis(self.name, text, h.logps[: len(text)], score=score, lm=lm is not None)
            for text, h, score in zip(texts, sheet.done, scores, strict=True)
        ]
        return sorted(found, key=lambda h: (-(h.score or 0.0), h.tokens))[: options.n_best]

    # ---- dictation -----------------------------------------------------------------------

    @torch.inference_mode()
    def dictate(
        self, heard: Sequence[Posteriors], texts: Sequence[Sequence[Sequence[str]]]
    ) -> list[list[float]]:
        """Natural-log probability of each of the rival ``texts[i]`` (sequences of tokens) of line
        ``i``, end of line included; ``-inf`` where a token is not in the alphabet. Raises
        `InputError` like `write`."""
        code = {token: i + 1 for i, token in enumerate(self.alphabet)}
        coded = [[tuple(code.get(t, 0) for t in text) for text in rivals] for rivals in texts]
        known = [[text for text in rivals if 0 not in text] for rivals in coded]
        with self._precision():
            found = [iter(each) for each in self._dictated(heard, known)]
        return [
            [-math.inf if 0 in text else float(np.sum(next(each))) for text in rivals]
            for rivals, each in zip(coded, found, strict=True)
        ]

    def _dictated(
        self, heard: Sequence[Posteriors], texts: Sequence[Sequence[tuple[int, ...]]]
    ) -> list[list[list[float]]]:
        """The log-probability of every character, and of the end, of the texts of each line."""
        left = [
            tree
            for line, rivals in enumerate(texts)
            for tree in trees(
                line, [(text, i) for i, text in enumerate(rivals)], len(self.alphabet) + 1
            )
        ]
        left.sort(key=lambda tree: len(tree.codes))
        found: list[list[list[float]]] = [[[] for _ in rivals] for rivals in texts]
        while left:
            count = max(1, min(len(left), LINES, NODES // len(left[-1].codes)))
            self._dictate(heard, left[-count:], found)
            del left[-count:]
        return found

    def _dictate(
        self,
        heard: Sequence[Posteriors],
        forest: Sequence[Tree],
        found: Sequence[list[list[float]]],
    ) -> None:
        """Fill in what is said of the texts on some trees of like size."""
        size = max(len(tree.codes) for tree in forest)
        codes, depth = (torch.zeros(len(forest), size, dtype=torch.long) for _ in range(2))
        seen = np.zeros((len(forest), 1, size, size), np.bool_)
        for i, tree in enumerate(forest):
            codes[i, : len(tree.codes)] = torch.tensor(tree.codes)
            depth[i, : len(tree.codes)] = torch.tensor(tree.depth)
            tree.ancestors(seen[i, 0])
        cache = self._begin([heard[tree.line] for tree in forest])
        logp, _ = self._next(codes, cache, torch.from_numpy(seen), depth)
        for row, tree in zip(logp, forest, strict=True):
            for which, nodes, text in tree.taken:
                found[tree.line][which] = row[nodes, [*text, END]].tolist()

    # ---- the network ---------------------------------------------------------------------

    def _begin(self, heard: Sequence[Posteriors]) -> Cache:
        memories = [_memory(p) for p in heard]
        counts = torch.tensor([len(m) for m in memories])
        padded = np.zeros((len(heard), int(counts.max()), memories[0].shape[1]), np.float32)
        for row, memory in zip(padded, memories, strict=True):
            row[: len(memory)] = memory
        mask = (torch.arange(padded.shape[1]) < counts[:, None])[:, None, None]
        return self.network.start(torch.from_numpy(padded).to(self.device), mask.to(self.device))

    def _next(
        self,
        codes: torch.Tensor,
        cache: Cache,
        seen: torch.Tensor | None = None,
        depth: torch.Tensor | None = None,
    ) -> tuple[NDArray[np.float32], Cache]:
        """Log-probabilities of what follows: ``(rows, 1+V)``, of a tree ``(1, nodes, 1+V)``."""
        seen = None if seen is None else seen.to(self.device)
        depth = None if depth is None else depth.to(self.device)
        logits, cache = self.network.decode(codes.to(self.device), cache, seen, depth)
        return log_softmax(logits if depth is not None else logits[:, 0]), cache

    def _tell(self, codes: torch.Tensor, cache: Cache | None = None) -> NDArray[np.float32]:
        """What the language module says of what follows: log-probabilities ``(rows, L, 1+V)``,
        those of characters counted from what one usually costs."""
        said = log_softmax(self.network.tell(codes.to(self.device), cache))
        said[:, :, 1:] += USUAL
        return said

    @torch.inference_mode()
    def tell(self, texts: Sequence[Sequence[str]]) -> list[list[float]]:
        """What the language module says of each token of each text and of its end, without any
        line: natural logarithms, those of characters counted from what one usually costs. A token
        that is not in the alphabet counts as the least likely one. Only for a recognizer that
        `speaks`."""
        code = {token: i + 1 for i, token in enumerate(self.alphabet)}
        with self._precision():
            return [e.tolist() for e in self._each([[code.get(t, 0) for t in x] for x in texts])]

    @property
    def speaks(self) -> bool:
        """Whether its network has a language module."""
        return self.network.language is not None

    def _told(self, texts: Sequence[Sequence[tuple[int, ...]]]) -> list[list[float]]:
        """The sum of what `_tell` says of each text of each line, its end included."""
        told = iter(self._each([text for rivals in texts for text in rivals]))
        return [[float(next(told).sum()) for _ in rivals] for rivals in texts]

    def _each(self, texts: Sequence[Sequence[int]]) -> list[NDArray[np.float32]]:
        """What `_tell` says of every code of each text, and of its end; of a code 0 what it says
        of the least likely one."""
        found = [np.zeros(0, np.float32)] * len(texts)
        order = sorted(range(len(texts)), key=lambda i: len(texts[i]))
        for start in range(0, len(order), 4 * LINES):
            batch = order[start : start + 4 * LINES]
            shown = np.zeros((len(batch), 1 + len(texts[batch[-1]])), np.int64)
            shown[:, 0] = len(self.alphabet) + 1
            for row, i in zip(shown, batch, strict=True):
                row[1 : 1 + len(texts[i])] = texts[i]
            for said, i in zip(self._tell(torch.from_numpy(shown)), batch, strict=True):
                codes = np.array([*texts[i], END])
                each = said[np.arange(len(codes)), codes]
                unknown = codes[:-1] == 0
                each[:-1][unknown] = said[: len(codes) - 1].min(axis=1)[unknown]
                found[i] = each
        return found


def _limit(heard: Posteriors) -> int:
    """A quarter more characters than the best path has, and at most one a frame of the encoder."""
    best = heard.logp.argmax(axis=1)
    read = int(((best[1:] != best[:-1]) & (best[1:] > 0)).sum()) + int(best[0] > 0)
    return min(len(_memory(heard)), read + read // 4 + 8)


def _memory(heard: Posteriors) -> NDArray[np.float16]:
    if heard.memory is None:
        raise InputError("these posteriors come from a recognizer without a decoder")
    return heard.memory


def load_recognizer(
    name: str,
    path: Path,
    *,
    decoder: Decoder,
    scorer: TextScorer,
    precision: Precision = "auto",
    writes: bool = True,
) -> CtcRecognizer:
    """The recognizer that the weights in ``path`` make, without its decoder (if it has one) unless
    it ``writes``; raises `AssetError`."""
    weights: Weights = load_weights(path)
    kind = CtcRecognizer
    if weights.architecture == "transformer":
        kind = AttentionRecognizer if writes else EncoderRecognizer
    return kind(name, path, decoder=decoder, scorer=scorer, precision=precision, weights=weights)
