"""All networks: what goes in, what comes out, how big they are, what they refuse."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from ensemble_htr.errors import ConfigError, UsageError  # noqa: E402
from ensemble_htr.recognizers.crnn import Crnn  # noqa: E402
from ensemble_htr.recognizers.folding import folded  # noqa: E402
from ensemble_htr.recognizers.gated import Gated  # noqa: E402
from ensemble_htr.recognizers.transformer import Transformer  # noqa: E402
from ensemble_htr.recognizers.zoo import ARCHITECTURES, build_network  # noqa: E402

torch.set_num_threads(1)  # the networks here are too small for more
KINDS: dict[str, Any] = {"crnn": Crnn, "gated": Gated, "transformer": Transformer}
LARGEST = {"crnn": 3_500_000, "gated": 3_500_000, "transformer": 6_000_000}  # parameters
SMALL: dict[str, dict[str, Any]] = {
    "crnn": {"stem": 4, "channels": [4, 6, 8], "blocks": [1, 1, 1], "hidden": 8, "layers": 1},
    "gated": {"stem": 4, "channels": [4, 6, 8], "blocks": [1, 1, 1], "width": 8},
    "transformer": {
        **{"stem": 4, "channels": [4, 6, 8], "blocks": [1, 1, 1], "width": 16, "heads": 2},
        **{"inner": 16, "encoder": 1, "decoder": 2, "kernel": 3},
    },
}


def small(name: str) -> Any:
    torch.manual_seed(0)
    return build_network(name, SMALL[name], 5)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_shipped_size_is_bounded(name: str) -> None:
    network = build_network(name, {}, 130)
    assert isinstance(network, KINDS[name])
    assert sum(p.numel() for p in network.parameters()) <= LARGEST[name]


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("width", [16, 32, 240])
def test_one_frame_for_every_four_pixels(name: str, width: int) -> None:
    network = small(name).eval()
    images = torch.rand(2, 1, network.config.height, width)
    with torch.inference_mode():
        logits, auxiliary = network(images)[:2]
    assert logits.shape == (2, width // network.config.pixels_per_frame, 1 + 5)
    assert auxiliary is None  # the shortcut takes part in training only
    assert bool(logits.isfinite().all())


@pytest.mark.parametrize("name", ARCHITECTURES)
@pytest.mark.parametrize("width", range(1, 26))
def test_any_width_has_frames(name: str, width: int) -> None:
    network = small(name).eval()
    if width < 3:
        return  # below one frame: lines are padded to 16 px before they come here
    with torch.inference_mode():
        frames = network(torch.rand(1, 1, network.config.height, width))[0].shape[1]
    assert abs(frames - math.ceil(width / 4)) <= 1


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_auxiliary_head_speaks_in_training_and_nothing_depends_on_it(name: str) -> None:
    network = small(name).train()
    images = torch.rand(2, 1, network.config.height, 64)
    logits, auxiliary = network(images)[:2]
    assert auxiliary is not None
    assert auxiliary.shape == logits.shape == (2, 16, 6)
    network.eval()
    before = network(images)[0]
    with torch.no_grad():
        for value in network.shortcut.parameters():
            value.fill_(1e6)
    assert torch.equal(network(images)[0], before)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_weight_learns(name: str) -> None:
    network = small(name).train()
    images = torch.rand(2, 1, network.config.height, 64)
    text = {"prefix": torch.tensor([[6, 1, 2], [6, 3, 4]])} if name == "transformer" else {}
    said = [x for x in network(images, **text) if x is not None]
    torch.stack([x.square().mean() for x in said]).sum().backward()
    if name == "transformer":
        assert len(said) == 3
        network.embed.weight.grad[:] += 1  # characters that were not shown
    assert all(p.grad is not None and bool(p.grad.any()) for p in network.parameters())


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_batch_of_equal_widths_reads_as_its_lines_alone(name: str) -> None:
    network = small(name).eval()
    images = torch.rand(3, 1, network.config.height, 48)
    with torch.inference_mode():
        together = network(images)[0]
        alone = torch.cat([network(image[None])[0] for image in images])
    assert torch.allclose(together, alone, atol=1e-5)


def test_gated_sees_only_its_neighbourhood_and_the_others_the_whole_line() -> None:
    reach = {}
    for name in ARCHITECTURES:
        network = small(name).eval()
        images = torch.rand(1, 1, network.config.height, 240, requires_grad=True)
        network(images)[0][0, 0].sum().backward()  # what the first frame depends on
        assert images.grad is not None
        reach[name] = int(images.grad.abs().amax(dim=(0, 1, 2)).nonzero().max())  # px
    assert reach["gated"] < 120
    assert reach["crnn"] > 200
    assert reach["transformer"] > 200


def test_the_decoder_step_by_step_says_what_it_says_at_once() -> None:
    network = small("transformer").eval()
    images, frames = torch.rand(2, 1, 48, 96), torch.tensor([24, 15])
    codes = torch.tensor([[6, 1, 2, 5], [6, 5, 5, 0]])
    with torch.inference_mode():
        at_once = network(images, frames, codes)[2]
        cache = network.start(*network.encode(network.columns(images), frames))
        for i in range(codes.shape[1]):
            said, cache = network.decode(codes[:, i : i + 1], cache)
            assert torch.allclose(said[:, 0], at_once[:, i], atol=1e-5)


def test_the_decoder_does_not_look_ahead_nor_at_padding() -> None:
    network = small("transformer").eval()
    images, frames = torch.rand(1, 1, 48, 96), torch.tensor([16])
    one, other = torch.tensor([[6, 1, 2, 5]]), torch.tensor([[6, 1, 4, 3]])
    with torch.inference_mode():
        before, after = network(images, frames, one)[2], network(images, frames, other)[2]
        assert torch.equal(before[:, :2], after[:, :2])
        assert not torch.allclose(before[:, 2:], after[:, 2:])
        encoded, mask = network.encode(network.columns(images), frames)
        encoded[:, 8:] = 7.0  # the frames beyond
        masked, _ = network.decode(one, network.start(encoded, mask))
    assert torch.allclose(before, masked, atol=1e-5)


def test_hypotheses_of_a_line_share_its_memory() -> None:
    network = small("transformer").eval()
    images = torch.rand(2, 1, 48, 96)
    codes = torch.tensor([[1], [2], [3], [4], [5], [1]])  # three of each line
    with torch.inference_mode():
        encoded, _ = network.encode(network.columns(images))
        together, _ = network.decode(codes, network.start(encoded, None))
        for i, code in enumerate(codes):
            alone, _ = network.decode(code[None], network.start(encoded[i // 3][None], None))
            assert torch.allclose(alone[0], together[i], atol=1e-5)


def test_unknown_architecture() -> None:
    with pytest.raises(UsageError, match="did you mean 'gated'"):
        build_network("gatet", {}, 5)


WRONG = [  # architecture, its [network] table, what the message must hold
    ("crnn", {"hiden": 3}, "did you mean 'hidden'"),
    ("gated", {"dilation": [1]}, "did you mean 'dilations'"),
    ("crnn", {"channels": [1, 2]}, "wanted 3 values"),
    ("crnn", {"hidden": "many"}, "wanted int"),
    ("crnn", {"hidden": 0}, "hidden is 0"),
    ("crnn", {"hidden": 10**9}, "wanted 1 to 1024"),  # would exhaust the memory
    ("crnn", {"layers": 1000}, "wanted 1 to 16"),
    ("gated", {"blocks": [1, 1, 10**6]}, "wanted 1 to 16"),
    ("gated", {"dilations": [1] * 99}, "dilations"),
    ("gated", {"stretch": 0.1}, "stretch is 0.1, wanted 0.5 to 3"),
    ("crnn", {"stretch": float("nan")}, "stretch is nan"),
    ("gated", {"height": 44}, "multiple of 8"),
    ("gated", {"height": 0}, "multiple of 8"),
    ("crnn", {"height": 10**6}, "multiple of 8"),
    ("gated", {"kernel": 4}, "odd"),
    ("gated", {"dropout": 1.5}, "dropout"),
    ("transformer", {"kernel": 4}, "odd"),
    ("transformer", {"heads": 3}, "multiple of 2 x heads"),
    ("transformer", {"encoder": 99}, "wanted 1 to 16"),
]


@pytest.mark.parametrize(("name", "table", "message"), WRONG)
def test_wrong_networks(name: str, table: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build_network(name, table, 5)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def _used(name: str) -> Any:
    """A network whose batch norms have seen something."""
    torch.manual_seed(3)
    network = build_network(name, {}, 20)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.normal_(module.running_mean, 0.0, 0.3)
            nn.init.uniform_(module.running_var, 0.3, 3.0)
            nn.init.uniform_(module.weight, 0.3, 2.0)
            nn.init.normal_(module.bias, 0.0, 0.3)
    return network.eval()


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_a_folded_network_says_the_same(name: str) -> None:
    network = _used(name)
    images = torch.rand(2, 1, network.config.height, 160) ** 6
    arguments = (images, torch.tensor([40, 33])) if name == "transformer" else (images,)
    with torch.inference_mode():
        plain = network(*arguments)[0]
        quick = folded(copy.deepcopy(network), half=False)
        assert not any(isinstance(m, nn.modules.batchnorm._BatchNorm) for m in quick.modules())
        torch.testing.assert_close(quick(*arguments)[0], plain, rtol=1e-4, atol=1e-4)
        rounded = folded(copy.deepcopy(network), half=True)
        with torch.autocast("cpu", torch.bfloat16):
            heard = rounded(*arguments)[0].float()
    assert (heard - plain).abs().max() < 0.1 * plain.abs().max()
