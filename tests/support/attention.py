"""Small transformers, in the ways in which others write them."""

import torch
from torch import nn
from torch.nn import functional

TOKENS = 7


class Transformer(nn.Module):
    """Tokens (batch, 7, 5), a class token, positions, some blocks, and a classifier."""

    def __init__(self, width, blocks):
        super().__init__()
        self.embedding = nn.Linear(5, width)
        self.token = nn.Parameter(torch.randn(1, 1, width))
        self.positions = nn.Parameter(torch.randn(1, TOKENS + 1, width))
        self.blocks = nn.Sequential(*blocks)
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 3)

    def forward(self, tokens):
        features = self.embedding(tokens)
        features = torch.cat([self.token.expand(len(features), -1, -1), features], 1) + self.positions
        return self.head(self.norm(self.blocks(features))[:, 0])


class Attention(nn.Module):
    """Attention with a residual: ``fused`` or separate projections, in any of the usual forms."""

    def __init__(
        self,
        width,
        heads,
        *,
        fused=True,
        by_hand=False,
        causal=False,
        norms=False,
        groups=1,
        rotary=0,
        bias=True,
    ):
        super().__init__()
        size = width // heads
        self.heads, self.size, self.groups, self.rotary = heads, size, groups, rotary
        self.fused, self.by_hand, self.causal = fused, by_hand, causal
        if fused:
            self.qkv = nn.Linear(width, 3 * width, bias=bool(bias))
        else:
            self.query = nn.Linear(width, width, bias=bool(bias))
            self.key = nn.Linear(width, width // groups, bias=bool(bias))
            self.value = nn.Linear(width, width // groups, bias=bool(bias))
        self.output = nn.Linear(width, width)
        self.query_norm = nn.LayerNorm(size) if norms else nn.Identity()
        self.key_norm = nn.LayerNorm(size) if norms else nn.Identity()
        angles = torch.arange(TOKENS + 1)[:, None] * 10.0 ** -torch.arange(max(rotary // 2, 1))
        self.register_buffer("angles", angles, persistent=False)

    def forward(self, features):
        batch, tokens, width = features.shape
        if self.fused:
            split = self.qkv(features).reshape(batch, tokens, 3, self.heads, self.size)
            query, key, value = split.permute(2, 0, 3, 1, 4).unbind(0)
        else:
            query, key, value = (
                layer(features).view(batch, tokens, -1, self.size).transpose(1, 2)
                for layer in (self.query, self.key, self.value)
            )
        query, key = self.rotated(self.query_norm(query)), self.rotated(self.key_norm(key))
        if self.groups > 1:
            key, value = (each.repeat_interleave(self.groups, 1) for each in (key, value))
        if self.by_hand:
            scores = query @ key.transpose(-2, -1) / self.size**0.5
            if self.causal:
                seen = torch.ones(tokens, tokens, dtype=torch.bool).tril()
                scores = scores.masked_fill(~seen, float("-inf"))
            mixed = scores.softmax(-1) @ value
        else:
            mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=self.causal)
        return features + self.output(mixed.transpose(1, 2).reshape(batch, tokens, width))

    def rotated(self, features):
        """Rotary positions (Su et al. 2021, "RoFormer") of the first ``rotary`` channels of each head."""
        if not self.rotary:
            return features
        turned, rest = features[..., : self.rotary], features[..., self.rotary :]
        cosine, sine = (torch.cat([f(self.angles)] * 2, -1) for f in (torch.cos, torch.sin))
        one, other = turned.chunk(2, -1)
        turned = turned * cosine + torch.cat([-other, one], -1) * sine
        return torch.cat([turned, rest], -1)


class Perceptron(nn.Module):
    """The second half of a block."""

    def __init__(self, width, hidden):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.layers = nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, features):
        return features + self.layers(self.norm(features))


def encoder(width, heads, **options):
    """torch's own blocks."""
    layer = nn.TransformerEncoderLayer(width, heads, 2 * width, dropout=0.0, batch_first=True, **options)
    return nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
