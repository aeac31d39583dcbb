"""Loads a model as programs do, by transformers, and embeds four sentences.

    pretrained.py REPO [flax]

With flax transformers itself runs the model, by JAX: later versions need torch for
that. Else tokenizer and config come by transformers, the weights are found by its
own function and run by bert.py. Prints one JSON object.
"""

import json
import sys

import transformers
from bert import SENTENCES, Bert, similarities
from transformers import AutoConfig, AutoTokenizer

repo = sys.argv[1]
config = AutoConfig.from_pretrained(repo)
tokenizer = AutoTokenizer.from_pretrained(repo)


def by_flax():
    import numpy as np
    from transformers import FlaxAutoModel

    model = FlaxAutoModel.from_pretrained(repo)
    words = tokenizer(SENTENCES, return_tensors="np", padding=True)
    states = np.asarray(model(**words).last_hidden_state)
    mask = words["attention_mask"][..., None]
    means = (states * mask).sum(1) / mask.sum(1)
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def by_numpy():
    from safetensors.numpy import load_file
    from transformers.utils import cached_file

    bert = Bert(config.to_dict(), load_file(cached_file(repo, "model.safetensors")))
    return [bert(tokenizer(s)["input_ids"]) for s in SENTENCES]


vectors = by_flax() if "flax" in sys.argv else by_numpy()
print(json.dumps({
    "version": transformers.__version__,
    "model": config.model_type,
    "tokens": tokenizer.tokenize("unaffable"),
    "dimensions": len(vectors[0]),
    "similarity": similarities(vectors),
}))
