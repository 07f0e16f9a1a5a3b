"""Laws of pasted lines: what is written is cut from lines that hold it, nothing else."""

from __future__ import annotations

import dataclasses
import lzma
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import ensemble_htr.train.pasting as train_pasting  # noqa: E402
from ensemble_htr.errors import InputError  # noqa: E402
from ensemble_htr.text import profile  # noqa: E402
from ensemble_htr.train.data import Sample  # noqa: E402
from ensemble_htr.train.loop import Trainer  # noqa: E402
from ensemble_htr.train.pasting import ENOUGH, Bank, Texts  # noqa: E402
from ensemble_htr.train.recipe import PastedText, PasteOptions, Recipe  # noqa: E402

Lines = Callable[[int, int, str], list[Sample]]
SYMBOLS = 5
FRAMES = 4  # of a character


def spoken(codes: list[int], number: int, frames: int = FRAMES) -> tuple[np.ndarray, np.ndarray]:
    """Columns that say which character and which line they come from, and CTC posteriors that are
    sure of one frame in the middle of each."""
    columns = np.repeat([[code, number] for code in codes], frames, axis=0).astype(np.float16)
    logp = np.full((len(columns), 1 + SYMBOLS), np.log(0.01))
    logp[:, 0] = np.log(0.9)
    for place, code in enumerate(codes):
        logp[place * frames + frames // 2] = np.log(0.01)
        logp[place * frames + frames // 2, code] = np.log(0.9)
    return columns, logp


def filled(keep: int, count: int, seed: int) -> Bank:
    rng, bank = np.random.default_rng(seed), Bank(keep)
    for number in range(count):
        codes = rng.integers(1, SYMBOLS + 1, int(rng.integers(3, 9))).tolist()
        bank.add(f"hand{number % 3}", *spoken(codes, number), codes)
    return bank


def drawn(count: int, rng: np.random.Generator) -> list[np.ndarray]:
    return [rng.integers(1, SYMBOLS + 1, 12).astype(np.int16) for _ in range(count)]


@pytest.mark.parametrize("seed", range(20))
def test_every_character_is_written_with_columns_of_its_own(seed: int) -> None:
    bank, rng = filled(60, 70, seed), np.random.default_rng(seed)
    written = bank.write(drawn(8, rng), 10_000, rng)
    assert len(written) == 8
    for codes, columns in written:
        assert columns.dtype == np.float16
        runs = [int(columns[0, 0])]
        hands = {int(number) % 3 for number in columns[:, 1]}
        for before, after in zip(columns[:-1], columns[1:], strict=True):
            if not np.array_equal(before, after):
                runs.append(int(after[0]))
        # Equal neighbours of one line run together: compare without doubles.
        assert _single(runs) == _single(list(codes))
        assert len(columns) >= len(codes)
        assert len(hands) == 1  # that hand has every character


def _single(codes: list[int]) -> list[int]:
    return [code for i, code in enumerate(codes) if not i or code != codes[i - 1]]


def test_a_character_that_the_hand_lacks_comes_from_another() -> None:
    bank, rng = Bank(100), np.random.default_rng(1)
    for number in range(ENOUGH):
        codes = [1, 2] if number else [3, 1]
        bank.add("rare" if number == 0 else "usual", *spoken(codes, number), codes)
    (codes, columns) = bank.write([np.array([2, 3, 2], np.int16)], 1000, rng)[0]
    assert codes == (2, 3, 2)
    assert set(columns[columns[:, 0] == 3][:, 1]) == {0}
    assert bank.write([np.array([1, 5], np.int16)], 1000, rng) == []  # nobody wrote that


def test_nothing_is_written_before_there_is_enough_or_beyond_the_room() -> None:
    rng = np.random.default_rng(2)
    assert filled(100, ENOUGH - 1, 1).write(drawn(3, rng), 1000, rng) == []
    written = filled(100, ENOUGH, 1).write(drawn(30, rng), 200, rng)
    assert 0 < len(written) < 30
    assert max(len(c) for _, c in written) * len(written) <= 200


@pytest.mark.parametrize("count", [30, 100])
def test_old_lines_go_and_their_characters_with_them(count: int) -> None:
    bank, rng = filled(ENOUGH, count, 3), np.random.default_rng(4)
    assert len(bank) == min(count, ENOUGH)
    if count < ENOUGH:
        return
    found = [columns for _, columns in bank.write(drawn(40, rng), 10**6, rng)]
    assert min(columns[:, 1].min() for columns in found) >= count - ENOUGH


def test_a_text_that_does_not_fit_is_not_kept() -> None:
    bank = Bank(10)
    columns, logp = spoken([1, 1], 0, frames=1)
    bank.add("hand", columns, logp, [1, 1])  # CTC wants a blank between
    bank.add("hand", columns, logp, [])
    assert len(bank) == 0


def test_a_restored_bank_writes_the_same() -> None:
    bank, again = filled(50, 120, 5), Bank(50)
    again.restore(bank.state())
    first, second = (
        b.write(drawn(9, rng), 10_000, rng)
        for b, rng in ((bank, np.random.default_rng(6)), (again, np.random.default_rng(6)))
    )
    assert [codes for codes, _ in first] == [codes for codes, _ in second]
    assert all(np.array_equal(a[1], b[1]) for a, b in zip(first, second, strict=True))
    empty = Bank(3)
    empty.restore(Bank(3).state())
    assert len(empty) == 0


def test_texts_are_those_that_the_alphabet_writes(tmp_path: Path) -> None:
    (tmp_path / "forms.txt").write_text("abc\nabc\nabx\ncab\n", encoding="utf-8")
    with lzma.open(tmp_path / "novel.txt.xz", "wt", encoding="utf-8") as file:
        file.write("abc cab bac\n" * 20)
    options = PasteOptions(
        texts=(PastedText("forms.txt"), PastedText("novel.txt.xz", share=3.0, wrap=6))
    )
    texts = Texts(options.texts, tmp_path, profile("fr-archive"), " abc")
    assert [line.tolist() for line in texts.sources[0]] == [[2, 3, 4], [4, 2, 3]]
    assert {len(line) for line in texts.sources[1]} <= {3, 7}  # one word or two
    rng = np.random.default_rng(1)
    found = texts.draw(5, rng)
    assert [len(t) for t in found] == sorted(len(t) for t in found)
    with pytest.raises(InputError, match=r"forms\.txt: no line that this alphabet can write"):
        Texts(options.texts, tmp_path, profile("fr-archive"), "xyz")
    missing = (PastedText("nowhere.txt"),)
    with pytest.raises(InputError, match=r"nowhere\.txt: no such text file"):
        Texts(missing, tmp_path, profile("fr-archive"), "abc")


def pasting(recipe: Recipe, root: Path, seed: int = 1) -> Recipe:
    """A recipe whose texts are the drawn signs in pairs that the lines seldom have."""
    rng = np.random.default_rng(seed)
    words = ["".join(rng.choice(list("abcde"), int(rng.integers(3, 8)))) for _ in range(200)]
    (root / "texts.txt").write_text("\n".join(words), encoding="utf-8")
    options = PasteOptions(texts=(PastedText("texts.txt"),), share=1.0, keep=64)
    return dataclasses.replace(recipe, paste=options)


TRANSFORMER = {
    "height": 16,
    "stem": 8,
    "channels": [8, 12, 16],
    "blocks": [1, 1, 1],
    "width": 16,
    "heads": 2,
    "inner": 32,
    "encoder": 1,
    "decoder": 1,
    "kernel": 3,
}
GATED = {
    "height": 16,
    "stem": 4,
    "channels": [4, 6, 8],
    "blocks": [1, 1, 1],
    "width": 16,
    "dilations": [1],
}


@pytest.mark.parametrize(
    ("kind", "network"), [("crnn", None), ("transformer", TRANSFORMER), ("gated", GATED)]
)
def test_every_network_learns_from_pasted_lines_and_resumes_exactly(
    tmp_path: Path, recipe: Recipe, lines: Lines, monkeypatch: pytest.MonkeyPatch, kind: str,
    network: dict[str, object] | None,
) -> None:  # fmt: skip
    recipe = dataclasses.replace(
        pasting(recipe, tmp_path),
        architecture=kind,
        network=network or recipe.network,
        train=dataclasses.replace(recipe.train, epochs=3, lines_per_epoch=96),
    )
    data, val = lines(90, 1, "train"), lines(12, 2, "val")
    folders = [tmp_path / name for name in ("whole", "cut")]
    for folder in folders:
        folder.mkdir()

    def trainer(folder: Path) -> Trainer:
        made = Trainer(recipe, data, val, folder, lambda _: None, root=tmp_path)
        made.half = False
        return made

    whole = trainer(folders[0])
    seen: list[int] = []
    assert whole.paster is not None
    bank, write = whole.paster.bank, whole.paster.bank.write
    bank.write = lambda *a: (seen.append(len(found := write(*a))), found)[1]  # type: ignore
    monkeypatch.setattr(train_pasting, "READ", 100.0)  # from the first line on
    whole.run()
    assert sum(seen) > 60
    trainer(folders[1]).run(deadline=0.0)  # stops after one batch
    second = trainer(folders[1])
    assert second.resume()
    while second._unfinished():
        second.run(deadline=0.0)
        second = trainer(folders[1])
        second.resume()
    for name, value in whole.net.state_dict().items():
        assert torch.equal(value, second.net.state_dict()[name]), name


def test_pasted_lines_do_not_reach_the_cnn(tmp_path: Path, recipe: Recipe, lines: Lines) -> None:
    trainer = Trainer(
        pasting(recipe, tmp_path), lines(90, 1, "train"), lines(12, 2, "val"), tmp_path,
        lambda _: None, root=tmp_path,
    )  # fmt: skip
    trainer.half = False
    trainer.run()
    rng = np.random.default_rng(1)
    columns = torch.zeros(8, 16, 40)
    assert trainer.paster is not None
    pasted = trainer.paster.lines(columns, rng)
    assert pasted is not None
    trainer.optimizer.zero_grad()
    trainer._loss(*pasted, rng)[0].backward()
    reached = {
        name.split(".")[0] for name, p in trainer.net.named_parameters() if p.grad is not None
    }
    assert reached == {"lstm", "head"}
