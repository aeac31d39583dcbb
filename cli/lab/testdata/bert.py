"""Runs a BERT that makes a vector of a sentence, in plain numpy.

Six layers are short enough to write down, and the stories then need no runtime of
hundreds of megabytes.
"""

import math

import numpy as np

SENTENCES = [
    "That is a happy person",
    "That is a happy dog",
    "That is a very happy person",
    "Today is a sunny day",
]


def layer_norm(x, weight, bias, eps):
    mean = x.mean(-1, keepdims=True)
    var = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) / np.sqrt(var + eps) * weight + bias


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


erf = np.vectorize(math.erf, otypes=[np.float32])


def gelu(x):
    return x * 0.5 * (1 + erf(x / math.sqrt(2)))


class Bert:
    def __init__(self, config, weights):
        self.c, self.w = config, weights

    def linear(self, x, name):
        return x @ self.w[name + ".weight"].T + self.w[name + ".bias"]

    def norm(self, x, name):
        return layer_norm(x, self.w[name + ".weight"], self.w[name + ".bias"], self.c["layer_norm_eps"])

    def attention(self, x, name):
        n, heads = x.shape[0], self.c["num_attention_heads"]

        def split(part):
            return self.linear(x, f"{name}.self.{part}").reshape(n, heads, -1).transpose(1, 0, 2)

        q, k, v = split("query"), split("key"), split("value")
        scores = softmax(q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1]))
        mixed = (scores @ v).transpose(1, 0, 2).reshape(n, -1)
        return self.norm(self.linear(mixed, f"{name}.output.dense") + x, f"{name}.output.LayerNorm")

    def layer(self, x, name):
        x = self.attention(x, f"{name}.attention")
        wide = gelu(self.linear(x, f"{name}.intermediate.dense"))
        return self.norm(self.linear(wide, f"{name}.output.dense") + x, f"{name}.output.LayerNorm")

    def __call__(self, ids):
        e = "embeddings."
        x = self.w[e + "word_embeddings.weight"][ids]
        x = x + self.w[e + "position_embeddings.weight"][: len(ids)]
        x = x + self.w[e + "token_type_embeddings.weight"][0]
        x = self.norm(x, e + "LayerNorm")
        for i in range(self.c["num_hidden_layers"]):
            x = self.layer(x, f"encoder.layer.{i}")
        mean = x.mean(0)  # mean pooling, then length one: modules.json says so
        return mean / np.linalg.norm(mean)


def similarities(vectors):
    return [float(vectors[0] @ v) for v in vectors[1:]]
