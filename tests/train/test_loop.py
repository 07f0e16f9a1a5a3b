"""Law of the loop: a run is a function of (recipe, data), however often it is interrupted."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from ensemble_htr.assets import sha256_file, write_lock  # noqa: E402
from ensemble_htr.decode import BeamDecoder, BeamOptions, ctc_score  # noqa: E402
from ensemble_htr.errors import (  # noqa: E402
    AssetError,
    InputError,
    OutputError,
    UsageError,
)
from ensemble_htr.metrics import edit_distance  # noqa: E402
from ensemble_htr.recognizers.attention import load_recognizer  # noqa: E402
from ensemble_htr.recognizers.inputs import scale_to_height  # noqa: E402
from ensemble_htr.recognizers.weights import load_weights  # noqa: E402
from ensemble_htr.train.begin import share_of_rate, weights_named  # noqa: E402
from ensemble_htr.train.data import Sample  # noqa: E402
from ensemble_htr.train.loop import Progress, Trainer  # noqa: E402
from ensemble_htr.train.plot import plot_log  # noqa: E402
from ensemble_htr.train.recipe import Recipe  # noqa: E402
from ensemble_htr.types import Line  # noqa: E402

Lines = Callable[[int, int, str], list[Sample]]


def silent(_: str) -> None:
    pass


def shorter(recipe: Recipe, **options: Any) -> Recipe:
    return dataclasses.replace(recipe, train=dataclasses.replace(recipe.train, **options))


def log_of(folder: Path) -> list[dict[str, Any]]:
    """The log without what a clock says."""
    rows = [json.loads(row) for row in (folder / "log.jsonl").read_text().splitlines()]
    clock = ("seconds", "lines_per_second")
    return [{k: v for k, v in row.items() if k not in clock} for row in rows]


def test_a_tiny_network_learns_to_read(tmp_path: Path, recipe: Recipe, lines: Lines) -> None:
    trainer = Trainer(recipe, lines(192, 1, "train"), lines(48, 2, "val"), tmp_path, silent)
    done = trainer.run()
    assert done.best < 0.2
    assert done.epoch == 6
    kept = load_weights(tmp_path / "model.safetensors")
    assert kept.alphabet == tuple("abcde")
    assert not any(name.startswith("shortcut.") for name in kept.tensors)
    assert kept.facts["progress"]["best"] == min(r["val_cer_letters"] for r in log_of(tmp_path))
    rates = [row["rate"] for row in log_of(tmp_path)]
    assert rates == sorted(rates, reverse=True)


def interrupt(trainer: Trainer, step: int, how: int = signal.SIGINT) -> None:
    """Press Ctrl-C (or end the process politely) in the middle of the ``step``-th batch of all."""

    def watched(indices: Any, number: int, real: Any = trainer._step) -> Any:
        if trainer.progress.step == step - 1:
            os.kill(os.getpid(), how)
        return real(indices, number)

    trainer._step = watched  # type: ignore[method-assign]
    usual = signal.getsignal(how)
    with pytest.raises(KeyboardInterrupt, match="checkpoint is saved, go on with --resume"):
        trainer.run()
    assert signal.getsignal(how) is usual


@pytest.mark.parametrize("where", ["first batch", "end of an epoch", "amid an epoch"])
def test_resume_is_exact(tmp_path: Path, recipe: Recipe, lines: Lines, where: str) -> None:
    recipe = shorter(recipe, epochs=3, lines_per_epoch=64, short_first=1.0)
    data, val = lines(60, 1, "train"), lines(12, 2, "val")
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    whole = Trainer(recipe, data, val, tmp_path / "whole", silent)
    first = len(list(whole._epoch(0)))  # batches of the first epoch
    whole.run()

    step = {"first batch": 1, "end of an epoch": first, "amid an epoch": first + 3}[where]
    interrupt(Trainer(recipe, data, val, tmp_path / "cut", silent), step)
    again = Trainer(recipe, data, val, tmp_path / "cut", silent)
    assert again.resume()
    assert again.progress.step == step
    assert again.progress.seen > 0
    again.run()

    assert log_of(tmp_path / "cut") == log_of(tmp_path / "whole")
    for name, value in whole.net.state_dict().items():
        assert torch.equal(value, again.net.state_dict()[name]), name
        assert torch.equal(whole.average[name], again.average[name]), name
    expected = load_weights(tmp_path / "whole" / "model.safetensors")
    found = load_weights(tmp_path / "cut" / "model.safetensors")
    assert all(torch.equal(value, found.tensors[k]) for k, value in expected.tensors.items())


def test_the_same_run_gives_the_same_file(tmp_path: Path, recipe: Recipe, lines: Lines) -> None:
    recipe = shorter(recipe, epochs=2, lines_per_epoch=64)
    made = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        trainer = Trainer(
            recipe, lines(60, 1, "train"), lines(12, 2, "val"), tmp_path / name, silent
        )
        trainer.half = False  # full precision, one thread
        trainer.run()
        made.append(tmp_path / name / "model.safetensors")
    assert made[0].read_bytes() == made[1].read_bytes()


def test_what_was_logged_after_the_checkpoint_is_not_logged_twice(
    tmp_path: Path, recipe: Recipe, lines: Lines
) -> None:
    recipe = shorter(recipe, epochs=3, lines_per_epoch=48)
    trainer = Trainer(recipe, lines(40, 1, "train"), lines(8, 2, "val"), tmp_path, silent)
    trainer.run()
    before = log_of(tmp_path)
    state = torch.load(tmp_path / "last.pt", weights_only=True)
    assert [row["epoch"] for row in before] == [1, 2, 3]

    # Killed after the log of epoch 2 was written, before its checkpoint; half a row follows.
    state["progress"].update(epoch=1)
    torch.save(state, tmp_path / "last.pt")
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"epoch": 4, "lo')
    again = Trainer(recipe, lines(40, 1, "train"), lines(8, 2, "val"), tmp_path, silent)
    assert again.resume()
    again.run()
    after = log_of(tmp_path)
    assert [row["epoch"] for row in after] == [1, 2, 3]
    assert after[0] == before[0]


def test_old_checkpoints_without_the_sum_of_losses_load() -> None:
    old = {"epoch": 2, "step": 70, "batch": 3, "best": 0.5, "best_epoch": 2}
    progress = Progress(**old, seconds=9.0, lines=700)
    assert (progress.loss, progress.seen) == (0.0, 0)


def test_time_is_up(tmp_path: Path, recipe: Recipe, lines: Lines) -> None:
    said: list[str] = []
    trainer = Trainer(recipe, lines(60, 1, "train"), lines(8, 2, "val"), tmp_path, said.append)
    assert trainer.run(deadline=1.0).batch == 1
    assert (tmp_path / "last.pt").exists()
    assert "--resume" in said[-1]


def test_early_stopping(tmp_path: Path, recipe: Recipe, lines: Lines) -> None:
    recipe = shorter(recipe, epochs=50, lines_per_epoch=16, rate=1e-12, patience=2)
    trainer = Trainer(recipe, lines(20, 1, "train"), lines(8, 2, "val"), tmp_path, silent)
    done = trainer.run()
    assert done.epoch < 50
    assert done.epoch - done.best_epoch == 2


def test_lines_without_letters_are_judged_as_a_whole(
    tmp_path: Path, recipe: Recipe, lines: Lines
) -> None:
    digits = str.maketrans("abcde", "12345")
    data, val = (
        [dataclasses.replace(s, text=s.text.translate(digits)) for s in lines(n, n, source)]
        for n, source in ((20, "train"), (6, "val"))
    )
    cer, letters = Trainer(recipe, data, val, tmp_path, silent).validate()
    assert cer == letters > 0


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_data_and_checkpoints_that_do_not_fit(tmp_path: Path, recipe: Recipe, lines: Lines) -> None:
    data, val = lines(20, 1, "train"), lines(6, 2, "val")
    rare = dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, rarest=10_000))
    with pytest.raises(InputError, match="rarest"):
        Trainer(rare, data, val, tmp_path, silent)
    trainer = Trainer(recipe, data, val, tmp_path, silent)
    assert not trainer.resume()
    trainer.save()
    with pytest.raises(AssetError, match="other training lines"):
        Trainer(recipe, lines(20, 3, "train"), val, tmp_path, silent).resume()
    wider = dataclasses.replace(recipe, network={**recipe.network, "hidden": 32})
    with pytest.raises(AssetError, match="another network"):
        Trainer(wider, data, val, tmp_path, silent).resume()
    whole = (tmp_path / "last.pt").read_bytes()
    for damaged in (b"", b"PK\x03\x04" + b"\0" * 40, whole[: len(whole) // 2], b"\x80\x05nonsense"):
        (tmp_path / "last.pt").write_bytes(damaged)
        with pytest.raises(AssetError, match=r"last\.pt") as caught:
            trainer.resume()
        assert "\n" not in str(caught.value)
    trainer.folder = tmp_path / "nowhere"
    with pytest.raises(OutputError, match="nowhere"):
        trainer.save()


def test_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    log = tmp_path / "log.jsonl"
    assert not plot_log(log, tmp_path / "log.png")
    rows = [
        {"epoch": e, "loss": 3 / e, "val_cer": 1 / e, "val_cer_letters": 0.9 / e} for e in (1, 2, 3)
    ]
    log.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"epoch": 4, "lo')
    assert plot_log(log, tmp_path / "log.png")
    assert (tmp_path / "log.png").read_bytes().startswith(b"\x89PNG")


@given(st.integers(1, 90), st.integers(1, 900), st.sampled_from([0.5, 1.0, 1.16, 2.0]))
def test_scaling_keeps_the_aspect_ratio_or_stretches_it(
    rows: int, columns: int, stretch: float
) -> None:
    scaled = scale_to_height(np.zeros((rows, columns), np.uint8), 48, stretch)
    assert scaled.shape[0] == 48
    assert abs(scaled.shape[1] - max(1, columns * 48 / rows * stretch)) <= 0.5


def test_scaling() -> None:
    assert scale_to_height(np.zeros((48, 480), np.uint8), 40).shape == (40, 400)
    assert scale_to_height(np.zeros((48, 1), np.uint8), 16).shape == (16, 1)


def test_a_polite_end_saves_a_checkpoint(tmp_path: Path, recipe: Recipe, lines: Lines) -> None:
    data, val = lines(40, 1, "train"), lines(8, 2, "val")
    interrupt(Trainer(recipe, data, val, tmp_path, silent), 2, signal.SIGTERM)
    again = Trainer(recipe, data, val, tmp_path, silent)
    assert again.resume() and again.progress.step == 2


def hybrid(recipe: Recipe, **changes: Any) -> Recipe:
    sizes = {k: recipe.network[k] for k in ("height", "stem", "channels", "blocks")}
    more = {"width": 32, "heads": 2, "inner": 32, "encoder": 1, "decoder": 1, "kernel": 3}
    return dataclasses.replace(
        shorter(recipe, **changes), architecture="transformer", network={**sizes, **more}
    )


def miswritten(run: Path, val: list[Sample]) -> int:
    """The edits that the decoder of a run's weights is away from the truth."""
    decoder, weights = BeamDecoder(BeamOptions(alpha=0.0), None, "t"), run / "model.safetensors"
    engine = load_recognizer("t", weights, decoder=decoder, scorer=ctc_score)
    written = engine.read([Line(s.id, image=s.image) for s in val])
    return sum(edit_distance(s.text, w[0].text) for s, w in zip(val, written, strict=True))


def test_both_heads_of_a_transformer_learn(tmp_path: Path, recipe: Recipe, lines: Lines) -> None:
    data, val = lines(200, 1, "train"), lines(12, 2, "val")
    begun = Trainer(shorter(recipe, epochs=1), data, val, tmp_path / "crnn", silent)
    begun.folder.mkdir()
    begun.run()
    init = str(tmp_path / "crnn" / "model.safetensors")
    told: list[str] = []
    wanted = hybrid(recipe, epochs=8, lines_per_epoch=400, rate=6e-3, init=init, smoothing=0.0)
    trainer = Trainer(wanted, data, val, tmp_path, told.append)
    assert "tensors taken over" in told[0]
    trainer.keep()
    untaught = miswritten(tmp_path, val)
    trainer.run()
    assert log_of(tmp_path)[-1]["val_cer"] < 0.2  # the CTC head
    kept = load_weights(tmp_path / "model.safetensors")
    assert kept.facts["init"] == sha256_file(tmp_path / "crnn" / "model.safetensors")
    assert miswritten(tmp_path, val) < 0.5 * untaught  # the decoder


@pytest.mark.parametrize("stretch", [1.0, 1.25])
def test_val_is_read_as_pages_are_padding_unseen(
    tmp_path: Path, recipe: Recipe, lines: Lines, stretch: float
) -> None:
    data, val = lines(20, 1, "train"), lines(6, 2, "val")
    wanted = hybrid(recipe)
    wanted = dataclasses.replace(wanted, network={**wanted.network, "stretch": stretch})
    trainer = Trainer(wanted, data, val, tmp_path, silent)
    seen: list[Any] = []
    real = trainer.net.encode
    trainer.net.encode = lambda c, frames=None: seen.append(frames) or real(c, frames)  # type: ignore[method-assign,assignment,operator]
    trainer.validate()
    widths = sorted(round(s.image.shape[1] * stretch) for s in val)
    assert [f.tolist() for f in seen] == [[-(-w // 4) for w in widths]]


def test_a_run_begins_from_a_recognizer_by_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = tmp_path / "models" / "mine"
    shelf.mkdir(parents=True)
    (shelf / "model.safetensors").write_bytes(b"x")
    write_lock(shelf, ["model.safetensors"])
    monkeypatch.setenv("ENSEMBLE_HTR_HOME", str(tmp_path))
    assert weights_named("mine") == shelf / "model.safetensors"
    assert weights_named(str(shelf / "model.safetensors")) == shelf / "model.safetensors"
    with pytest.raises(UsageError, match="did you mean 'mine'"):
        weights_named("mime")


def test_weights_that_have_nothing_in_common_are_refused(
    tmp_path: Path, recipe: Recipe, lines: Lines
) -> None:
    data, val = lines(20, 1, "train"), lines(4, 2, "val")
    trainer = Trainer(recipe, data, val, tmp_path, silent)
    trainer.keep()
    wanted = hybrid(recipe, init=str(tmp_path / "model.safetensors"))
    sizes = {**wanted.network, "stem": 7, "channels": [7, 9, 11]}
    with pytest.raises(AssetError, match="none of its tensors fits"):
        Trainer(dataclasses.replace(wanted, network=sizes), data, val, tmp_path, silent)


@given(
    total=st.integers(1, 400),
    warmup=st.floats(0, 0.9),
    final=st.floats(0, 1),
)
def test_the_rate_rises_to_its_peak_and_falls_to_its_end(
    total: int, warmup: float, final: float
) -> None:
    shares = [share_of_rate(step, total, warmup, final) for step in range(total + 1)]
    peak = shares.index(max(shares))
    assert all(0 < share <= 1 + 1e-9 for share in shares[:-1])
    assert shares[: peak + 1] == sorted(shares[: peak + 1])
    assert shares[peak:] == sorted(shares[peak:], reverse=True)
    if total > 2 and warmup < 0.5:
        assert shares[-1] == pytest.approx(final, abs=1e-9)
