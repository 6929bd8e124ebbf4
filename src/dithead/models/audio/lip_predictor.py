"""Predicts the lips at a moment from the samples around it, with the first layers of a Moonshine encoder.

It uses the seconds before the moment and half a second after it. A small network over time predicts the lips from the
layers' states, for a whole stretch at once, so that neighbouring moments agree. It errs differently from the prediction
from the audio encoder's tokens, so a mean of both is better than either (docs/log, small 0.6). A prediction is a mean
of what may be, and hardly ever closes the lips as briefly as p, b and m do. So a model may have a closure head: it
learned when lips are closed and when not, and what it says becomes a part of the opening.
Letters: B batch, n samples at 16 kHz, T = n / 320 tokens of 20 ms, S Moonshine states, H their width, W width of the
network over time, K lip coefficients, D = ``LipPredictor.margin`` tokens.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dithead.models.audio.mel import HOP
from dithead.models.audio.moonshine_layers import CENTRE, STATE, MoonshineLayers

# All sizes here are our choice; docs/log (small 0.5 and 0.6) has what was tried.
_TOKEN = 2 * HOP  # samples a token
_READ_LAYERS = 3  # the last Moonshine layers whose states are read: from acoustic to phonetic
_READ_WIDTH = 96  # numbers that are read off a token's states
_WIDTH = 128  # of the network over time
_DEPTH = 2  # its layers
_REACH = 2  # tokens on either side that each of its layers sees
DROPOUT = 0.4
"""In training; high, because there are few speakers with measured lips."""
AVERAGED = 3
"""Tokens on either side over which the shape of a moment's lips is averaged: with fewer its width trembles."""
OPENING_AVERAGED = 1
"""Tokens on either side over which the opening is averaged: with more, lips miss short closures (docs/log)."""
TOKENS_SHARE = 0.25
"""Share of the prediction from the audio encoder's tokens; the rest is that of the lip predictor, which errs less."""
CLOSURE_SHARE = 0.3
"""Share of the opening that a closure head says, where there is one (docs/log)."""
EVEN_OPENING, OPENING_PER_LOG_ODDS = 0.6, 0.4
"""What a closure head's log-odds of closed lips say of the opening, in its unit: that of even odds, and by how much it
falls for one more. So the head's opening varies as widely as the predicted one (fitted to HDTF, docs/log)."""
LEAST_WINDOW = 4 * (_DEPTH * _REACH + AVERAGED + 1)
"""Mel frames that a window around a moment must have at least."""


class LipReader(nn.Module):
    """A network over time that reads lip coefficients off normed states (B, S, width) of the Moonshine layers."""

    def __init__(self, width: int, lip_targets: int) -> None:
        """Build the network with random weights.

        Args:
            width: Of the normed states, those of all layers that are read.
            lip_targets: Lip coefficients K.
        """
        super().__init__()
        self.read = nn.Linear(width, _READ_WIDTH)
        self.mix = nn.Linear(_READ_WIDTH, _WIDTH)
        self.norms = nn.ModuleList(nn.LayerNorm(_WIDTH) for _ in range(_DEPTH))
        self.over_time = nn.ModuleList(nn.Conv1d(_WIDTH, _WIDTH, 2 * _REACH + 1) for _ in range(_DEPTH))
        self.lips = nn.Linear(_WIDTH, lip_targets)

    def heard_at(self, x: Tensor) -> Tensor:
        """Return what the lips are read off (B, T - 2 D, W), from the states at tokens (B, T, width)."""
        h: Tensor = F.gelu(self.mix(self.read(self._dropout(x))))
        for norm, layer in zip(self.norms, self.over_time, strict=True):
            new = F.gelu(layer(norm(h).transpose(1, 2)).transpose(1, 2))
            h = h[:, _REACH:-_REACH] + self._dropout(new)
        return h

    def read_lips(self, heard: Tensor) -> Tensor:
        """Read the lips (B, T, K) off what ``heard_at`` returned (B, T, W); a closure head has no part in it."""
        lips: Tensor = self.lips(self._dropout(heard))
        return lips

    def _dropout(self, x: Tensor) -> Tensor:
        return F.dropout(x, DROPOUT, self.training)


class LipPredictor(LipReader):
    """Samples (B, n) to lip coefficients (B, T, K) at each token, by the mean of one reader or several."""

    def __init__(
        self, hidden: int, heads: int, layers: int, lip_targets: int, closure_hidden: int = 0, readers: int = 1
    ) -> None:
        """Build the network with random weights.

        Args:
            hidden: Width H of the Moonshine layers.
            heads: Their attention heads.
            layers: Their number.
            lip_targets: Lip coefficients K.
            closure_hidden: Width of the closure head; 0: there is none.
            readers: How many networks read the lips off the layers; the predictor itself is the first of them.
        """
        read_from = min(_READ_LAYERS, layers)
        super().__init__(read_from * hidden, lip_targets)
        self.read_from, self.layers = read_from, MoonshineLayers(hidden, heads, layers)
        self.norms_read = nn.ModuleList(nn.LayerNorm(hidden) for _ in range(read_from))
        self.more_readers = nn.ModuleList(LipReader(read_from * hidden, lip_targets) for _ in range(readers - 1))
        self.closure = closure_head(closure_hidden) if closure_hidden else None

    @property
    def readers(self) -> list[LipReader]:
        """The networks that read the lips off the layers; the first is the predictor itself."""
        return [self, *(reader for reader in self.more_readers if isinstance(reader, LipReader))]

    def forward(self, samples: Tensor) -> Tensor:
        """Predict the lips (B, T - 2 D, K) at all tokens of samples (B, n) but the first D and the last D."""
        heard = zip(self.readers, self.hear(samples), strict=True)
        return torch.stack([reader.read_lips(each) for reader, each in heard]).mean(0)

    def hear(self, samples: Tensor) -> list[Tensor]:
        """Return what each reader reads the lips off (B, T - 2 D, W), for samples (B, n) as in ``forward``."""
        x = at_tokens(self.normed(self.layers(samples)), 0, samples.shape[1] // _TOKEN)
        return [reader.heard_at(x) for reader in self.readers]

    def log_odds(self, heard: Tensor) -> Tensor:
        """Tell how likely lips are closed (B, T - 6) from what the first reader hears (B, T, W)."""
        assert self.closure is not None
        odds: Tensor = self.closure(self._dropout(heard).transpose(1, 2))
        return odds[:, 0]

    def at(self, samples: Tensor, token: int) -> Tensor:
        """Predict the lips at one ``token`` of ``samples`` (B, n), as the mean over it and its neighbours.

        Returns:
            The lips (B, K), or with what a closure head says of the opening behind them (B, K + 1): see ``mean_lips``.
        """
        return self.along(samples, token, 1)[:, 0]

    def along(self, samples: Tensor, first: int, count: int) -> Tensor:
        """Predict the lips (B, ``count``, K or K + 1) at the tokens from ``first`` on, each as ``at`` does."""
        return self.read_along(self.normed(self.layers(samples)), first, count)

    def read_along(self, states: Tensor, first: int, count: int) -> Tensor:
        """Do as ``along`` with the states (B, S, width) that ``normed`` returned."""
        x = self._around(states, first, count)
        heard = [reader.heard_at(x) for reader in self.readers]
        read = [reader.read_lips(each) for reader, each in zip(self.readers, heard, strict=True)]
        return self.with_closures(averaged(torch.stack(read).mean(0)), heard[0])

    def read_alone(self, reader: LipReader, states: Tensor, first: int, count: int) -> Tensor:
        """Predict the lips (B, ``count``, K) as ``read_along`` does, by one ``reader`` alone."""
        return averaged(reader.read_lips(reader.heard_at(self._around(states, first, count))))

    def heard_along(self, states: Tensor, first: int, count: int) -> Tensor:
        """Return what the first reader of ``read_along`` reads the lips off: (B, ``count`` + 6, W).

        A moment has three on either side.
        """
        return self.heard_at(self._around(states, first, count))

    def _around(self, states: Tensor, first: int, count: int) -> Tensor:
        reach = self.margin + AVERAGED
        return at_tokens(states, first - reach, first + count + reach)

    def normed(self, states: Sequence[Tensor]) -> Tensor:
        """Join the states of all layers (B, S, H) to those that are read (B, S, width)."""
        read = zip(self.norms_read, states[-self.read_from :], strict=True)
        return torch.cat([norm(x) for norm, x in read], -1)

    @property
    def margin(self) -> int:
        """D: tokens on either side of one that its prediction needs."""
        return _DEPTH * _REACH

    def with_closures(self, lips: Tensor, heard: Tensor) -> Tensor:
        """Put what the closure head, where there is one, says of the opening behind the lips.

        Args:
            lips: (B, T, K).
            heard: What ``heard_along`` returned (B, T + 6, W).

        Returns:
            (B, T, K + 1), or (B, T, K) without a closure head.
        """
        if self.closure is None:
            return lips
        told = EVEN_OPENING - OPENING_PER_LOG_ODDS * self.log_odds(heard).to(lips)
        return torch.cat([lips, told[..., None]], -1)


def averaged(lips: Tensor) -> Tensor:
    """Average lips (B, T + 6, K) over neighbouring tokens, the opening over fewer than all else: (B, T, K)."""
    spare = AVERAGED - OPENING_AVERAGED
    openings = lips[:, spare : lips.shape[1] - spare, -1:].unfold(1, 2 * OPENING_AVERAGED + 1, 1).mean(-1)
    return torch.cat([lips[..., :-1].unfold(1, 2 * AVERAGED + 1, 1).mean(-1), openings], -1)


def closure_head(hidden: int) -> nn.Sequential:
    """Build a network from moments (B, W, T + 6), each with three on either side, to one number for each (B, 1, T).

    Args:
        hidden: Its width.
    """
    look = nn.Conv1d(_WIDTH, hidden, 2 * AVERAGED + 1)
    return nn.Sequential(look, nn.GELU(), nn.Dropout(DROPOUT), nn.Conv1d(hidden, 1, 1))


def mean_lips(lips: Tensor, predicted: Tensor) -> Tensor:
    """Return the weighted mean of two predictions, with the share of the opening that a closure head says.

    Args:
        lips: Those from the audio encoder's tokens (B, K).
        predicted: The lip predictor's (B, K), or (B, K + 1) where it has a closure head.
    """
    count = lips.shape[-1]
    mean = torch.lerp(predicted[..., :count], lips, TOKENS_SHARE)
    if predicted.shape[-1] == count:
        return mean
    return torch.cat([mean[..., :-1], torch.lerp(mean[..., -1:], predicted[..., count:], CLOSURE_SHARE)], -1)


def at_tokens(states: Tensor, first: int, stop: int) -> Tensor:
    """Interpolate Moonshine's ``states`` (B, S, H) at the tokens ``first`` to ``stop`` - 1: (B, stop - first, H)."""
    position = (torch.arange(first, stop, device=states.device) * _TOKEN - CENTRE) / STATE
    position = position.clamp(0, states.shape[1] - 1)
    low = position.floor().long().clamp_max(max(0, states.shape[1] - 2))
    part = (position - low).to(states)[:, None]
    return torch.lerp(states[:, low], states[:, (low + 1).clamp_max(states.shape[1] - 1)], part)
