"""``transformer``: light CNN stem -> transformer encoder -> CTC, and -> autoregressive decoder.

A transformer encoder-decoder (Vaswani et al., 2017) over the columns of a small residual CNN,
trained with the sum of a CTC loss on the encoder and a cross-entropy loss on the decoder, as in
hybrid CTC/attention speech recognition (Watanabe et al., 2017) and the light transformers for
handwriting (Barrere et al., 2022). Each encoder layer has a depthwise convolution between
attention and feed-forward (Gulati et al., "Conformer", 2020): it brings the neighbourhood that
attention alone learns only from much more data.

The network speaks twice: its CTC head gives posteriors like any other net's (frames of 4 px), its
decoder writes character by character, each one knowing all before it. Beside the decoder there may
be a language module: it says how texts go on without looking at the line. A decoder hears the
language only in the few lines that it is trained on, the module in any number of texts; what it
says is added with a weight while the decoder writes (shallow fusion with a neural language model:
Kannan et al., 2018), so it has its own parameters, which reading does not pull at. Codes: 0 = end
of line, ``i + 1`` = alphabet[i], ``V + 1`` = beginning of line. Read `Transformer.forward` top to
bottom.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ensemble_htr.recognizers.crnn import Columns

__all__ = ["Cache", "Transformer", "TransformerConfig", "build"]


@dataclass(frozen=True, slots=True)
class TransformerConfig:
    """Sizes of the network."""

    height: int = 48  # rows of the input image
    stretch: float = 1.0  # columns of it, for each that its height asks for
    stem: int = 16  # channels after the first convolution
    channels: tuple[int, int, int] = (32, 64, 128)  # of the three residual stages
    blocks: tuple[int, int, int] = (1, 2, 2)  # residual blocks per stage
    width: int = 256  # of both transformers
    heads: int = 4
    inner: int = 512  # of the feed-forward layers
    encoder: int = 4  # layers
    decoder: int = 2  # layers
    language: int = 0  # layers of the language module, learned from texts alone; 0 = it has none
    kernel: int = 9  # frames (of 8 px) that a depthwise convolution spans
    dropout: float = 0.1

    @property
    def pixels_per_frame(self) -> int:
        return 4


class Attention(nn.Module):
    """Scaled dot-product attention with several heads."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query = nn.Linear(width, width)
        self.pair = nn.Linear(width, 2 * width)  # keys and values
        self.out = nn.Linear(width, width)

    def pairs(self, x: Tensor) -> Tensor:
        """Keys and values of ``x (B, T, width)``: ``(2, B, heads, T, width / heads)``."""
        b, t, _ = x.shape
        return self.pair(x).view(b, t, 2, self.heads, -1).permute(2, 0, 3, 1, 4)

    def forward(
        self, x: Tensor, pairs: Tensor, mask: Tensor | None = None, causal: bool = False
    ) -> Tensor:
        """``x (B, T, width)`` attends to ``pairs`` where ``mask`` (bool, broadcast to
        ``(B, heads, T, S)``) allows it."""
        b, t, width = x.shape
        q = self.query(x).view(b, t, self.heads, -1).transpose(1, 2)
        drop = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(q, pairs[0], pairs[1], mask, drop, causal)
        return self.out(y.transpose(1, 2).reshape(b, t, width))


class EncoderLayer(nn.Module):
    """Self-attention, depthwise convolution, feed-forward, each on the normed residual stream."""

    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(c.width) for _ in range(3))
        self.attention = Attention(c.width, c.heads, c.dropout)
        self.gate = nn.Linear(c.width, 2 * c.width)
        self.near = nn.Conv1d(c.width, c.width, c.kernel, padding=c.kernel // 2, groups=c.width)
        self.mix = nn.Linear(c.width, c.width)
        self.feed = _feed(c, c.dropout)
        self.drop = nn.Dropout(c.dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        y = self.norm1(x)
        x = x + self.drop(self.attention(y, self.attention.pairs(y), mask))
        y = F.glu(self.gate(self.norm2(x)), -1)
        if mask is not None:
            y = y * mask[:, 0, 0, :, None]  # padding is silent
        y = F.silu(self.near(y.transpose(1, 2)).transpose(1, 2))
        x = x + self.drop(self.mix(y))
        return x + self.drop(self.feed(self.norm3(x)))


class DecoderLayer(nn.Module):
    """Causal self-attention, attention to the line, feed-forward."""

    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        self.norm1, self.norm2, self.norm3 = (nn.LayerNorm(c.width) for _ in range(3))
        self.self_attention = Attention(c.width, c.heads, c.dropout)
        self.line_attention = Attention(c.width, c.heads, c.dropout)
        self.feed = _feed(c, c.dropout)
        self.drop = nn.Dropout(c.dropout)

    def forward(
        self, x: Tensor, own: Tensor | None, line: Tensor, seen: Tensor | None, mask: Tensor | None
    ) -> tuple[Tensor, Tensor]:
        """``own`` are the keys and values of earlier tokens, ``line`` those of the encoder;
        ``seen`` says which tokens a token may see (None: all before it). Returns also ``own``."""
        y = self.norm1(x)
        pairs = self.self_attention.pairs(y)
        causal = own is None and seen is None
        if own is not None:
            pairs = torch.cat([own, pairs], dim=3)
        x = x + self.drop(self.self_attention(y, pairs, seen, causal))
        asked = self.norm2(x).view(line.shape[1], -1, x.shape[2])  # hypotheses of a line together
        x = x + self.drop(self.line_attention(asked, line, mask).view(x.shape))
        return x + self.drop(self.feed(self.norm3(x))), pairs


class LanguageLayer(nn.Module):
    """Causal self-attention, feed-forward."""

    def __init__(self, c: TransformerConfig) -> None:
        super().__init__()
        self.norm1, self.norm2 = (nn.LayerNorm(c.width) for _ in range(2))
        self.attention = Attention(c.width, c.heads, 0.0)
        self.feed = _feed(c, 0.0)

    def forward(self, x: Tensor, own: Tensor | None) -> tuple[Tensor, Tensor]:
        """``own`` are the keys and values of earlier tokens. Returns also all of them."""
        y = self.norm1(x)
        pairs = self.attention.pairs(y)
        if own is not None:
            pairs = torch.cat([own, pairs], dim=3)
        x = x + self.attention(y, pairs, causal=own is None)
        return x + self.feed(self.norm2(x)), pairs


class Language(nn.Module):
    """How texts go on: codes ``(B, L)`` to logits ``(B, L, 1+V)`` of the next one (0 = end). It has
    no dropout: it meets most texts once (see `train.language`)."""

    def __init__(self, c: TransformerConfig, symbols: int) -> None:
        super().__init__()
        self.scale = math.sqrt(c.width)
        self.embed = nn.Embedding(symbols + 2, c.width)
        self.layers = nn.ModuleList(LanguageLayer(c) for _ in range(c.language))
        self.norm = nn.LayerNorm(c.width)
        self.next = nn.Linear(c.width, 1 + symbols)
        nn.init.normal_(self.embed.weight, std=c.width**-0.5)

    def forward(
        self, codes: Tensor, where: Tensor, told: list[Tensor] | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        """Logits for ``codes`` at the places ``where (L, width)``, after the tokens in ``told``
        (per layer their keys and values; then ``L = 1``). Returns also all keys and values."""
        x = self.embed(codes) * self.scale + where
        found = []
        for i, layer in enumerate(self.layers):
            x, pairs = layer(x, told[i] if told else None)
            found.append(pairs)
        return self.next(self.norm(x)), found


@dataclass
class Cache:
    """What the decoder keeps while it writes: per layer the keys and values of the lines and of
    the tokens so far, and which frames count; of the language module those of the tokens so far.
    Each of the ``B`` lines has the same number ``n`` of hypotheses, which follow one another."""

    line: list[Tensor]  # per layer (2, B, heads, S, width / heads)
    mask: Tensor | None  # (B, 1, 1, S)
    own: list[Tensor | None]  # per layer (2, B * n, heads, L, width / heads)
    told: list[Tensor] = field(default_factory=list)  # the same of the language module

    def select(self, rows: Tensor, lines: Tensor | None = None) -> Cache:
        """The cache of the hypotheses ``rows`` (repeats allowed), of ``lines`` only."""
        own = [None if o is None else o.index_select(1, rows) for o in self.own]
        told = [t.index_select(1, rows) for t in self.told]
        if lines is None:
            return Cache(self.line, self.mask, own, told)
        mask = None if self.mask is None else self.mask.index_select(0, lines)
        return Cache([pairs.index_select(1, lines) for pairs in self.line], mask, own, told)


class Transformer(Columns):
    """Line images ``(B, 1, height, W)`` in [0, 1], 0 = paper, to CTC logits ``(B, W / 4, 1+V)``
    and, given the text so far, to logits ``(B, L, 1+V)`` of the next character (0 = end)."""

    places: Tensor

    def __init__(self, config: TransformerConfig, symbols: int) -> None:
        super().__init__(config.stem, config.channels, config.blocks)
        self.config, c3 = config, config.channels[-1]
        self.shortcut = nn.Conv1d(c3, 1 + symbols, 3, padding=1)  # auxiliary CTC, training only
        self.enter = nn.Conv1d(c3, config.width, 4, stride=2, padding=1)  # frames of 8 px
        self.encoder = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder))
        self.encoded = nn.LayerNorm(config.width)
        self.head = nn.Linear(config.width, 2 * (1 + symbols))  # two CTC frames in each
        self.embed = nn.Embedding(symbols + 2, config.width)
        self.decoder = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder))
        self.decoded = nn.LayerNorm(config.width)
        self.next = nn.Linear(config.width, 1 + symbols)
        self.dropout = nn.Dropout(config.dropout)
        nn.init.normal_(self.embed.weight, std=config.width**-0.5)
        self.language = Language(config, symbols) if config.language else None
        self.register_buffer("places", positions(1024, config.width), persistent=False)

    def forward(
        self, images: Tensor, frames: Tensor | None = None, prefix: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """CTC logits of the encoder, in training of the auxiliary head, and with ``prefix``
        ``(B, L)`` (codes, from the beginning of the line) the decoder's. ``frames (B,)`` are the
        CTC frames that are not padding."""
        columns = self.columns(images)  # (B, c3, W/4)
        auxiliary = self.shortcut(columns).transpose(1, 2) if self.training else None
        heard, said = self.above(columns, frames, prefix)
        return heard, auxiliary, said

    def above(
        self, columns: Tensor, frames: Tensor | None = None, prefix: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """CTC logits for the CNN's columns ``(B, c3, T)`` and, with ``prefix``, the decoder's."""
        encoded, mask = self.encode(columns, frames)  # (B, W/8, width)
        said = None
        if prefix is not None:
            said, _ = self.decode(prefix, self.start(encoded, mask))
        return self.ctc(encoded), said

    def encode(self, columns: Tensor, frames: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """The encoder's answer ``(B, W / 8, width)`` and the mask of its real frames."""
        columns = F.pad(columns, (0, columns.shape[2] % 2))
        x = self.enter(self.dropout(columns)).transpose(1, 2)
        x = self.dropout(x + self.where(x.shape[1]))
        mask = None
        if frames is not None:
            count = (frames.to(x.device) + 1) // 2
            mask = (torch.arange(x.shape[1], device=x.device) < count[:, None])[:, None, None]
        for layer in self.encoder:
            x = layer(x, mask)
        return self.encoded(x), mask

    def ctc(self, encoded: Tensor) -> Tensor:
        """CTC logits ``(B, W / 4, 1+V)``."""
        b, t, _ = encoded.shape
        return self.head(self.dropout(encoded)).view(b, 2 * t, -1)

    def start(self, encoded: Tensor, mask: Tensor | None) -> Cache:
        """The decoder's memory before the first character."""
        layers = [cast(DecoderLayer, layer) for layer in self.decoder]
        line = [layer.line_attention.pairs(encoded) for layer in layers]
        return Cache(line, mask, [None] * len(line))

    def decode(
        self,
        codes: Tensor,
        cache: Cache,
        seen: Tensor | None = None,
        depth: Tensor | None = None,
    ) -> tuple[Tensor, Cache]:
        """Logits ``(B * n, L, 1+V)`` of what follows each of ``codes (B * n, L)``, and the cache
        after them. Codes go on where the cache stands, one at a time (``L = 1``). With ``seen``
        (bool ``(B, 1, L, L)``) and ``depth (B, L)`` the codes are the nodes of a tree: each sees
        its ancestors only."""
        known = 0 if cache.own[0] is None else cache.own[0].shape[3]
        where = self.where(known + codes.shape[1])
        x = self.embed(codes) * math.sqrt(self.config.width)
        x = self.dropout(x + (where[known:] if depth is None else where[depth]))
        own: list[Tensor | None] = []
        for layer, before, line in zip(self.decoder, cache.own, cache.line, strict=True):
            x, pairs = layer(x, before, line, seen, cache.mask)
            own.append(pairs)
        return self.next(self.decoded(x)), Cache(cache.line, cache.mask, own, cache.told)

    def tell(self, codes: Tensor, cache: Cache | None = None) -> Tensor:
        """Logits ``(B, L, 1+V)`` of the language module for what follows ``codes (B, L)``. With a
        ``cache`` they go on where it stands (``L = 1``), and it is brought up to them. Only for a
        network that has one."""
        assert self.language is not None
        known = cache.told[0].shape[3] if cache is not None and cache.told else 0
        where = self.where(known + codes.shape[1])[known:]
        told = cache.told if cache is not None else None
        logits, told = self.language(codes, where, told)
        if cache is not None:
            cache.told = told
        return logits

    def where(self, length: int) -> Tensor:
        """The positions ``0 .. length - 1``: ``(length, width)``."""
        if length <= len(self.places):
            return self.places[:length]
        return positions(length, self.config.width).to(self.places.device)


def positions(length: int, width: int) -> Tensor:
    """Sinusoidal positions ``(length, width)`` (Vaswani et al., 2017)."""
    place = torch.arange(length, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, width, 2, dtype=torch.float32) * (-math.log(1e4) / width))
    angles = place * rate
    return torch.stack([angles.sin(), angles.cos()], dim=-1).view(length, -1)


def _feed(c: TransformerConfig, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(c.width, c.inner), nn.GELU(), nn.Dropout(dropout), nn.Linear(c.inner, c.width)
    )


def build(config: TransformerConfig, symbols: int) -> Transformer:
    """The network for an alphabet of ``symbols`` characters (blank, end, beginning are added)."""
    return Transformer(config, symbols)
