"""Uses a Hugging Face cache as any Python program would, offline.

    embed.py REPO CACHE_DIR

Finds every file of REPO by huggingface_hub with local_files_only, has its
scanner look at the whole cache, loads the model and embeds four sentences.
Prints one JSON object; whoever calls decides what is right.
"""

import json
import os
import sys

os.environ["HF_HUB_OFFLINE"] = "1"  # before the import: it is read once

from bert import SENTENCES, Bert, similarities
from huggingface_hub import hf_hub_download, scan_cache_dir
from safetensors.numpy import load_file
from tokenizers import Tokenizer

FILES = ["config.json", "tokenizer.json", "model.safetensors", "modules.json", "1_Pooling/config.json"]


def scan(cache):
    info = scan_cache_dir(cache)
    return {
        "warnings": [str(w) for w in info.warnings],
        "repos": {r.repo_id: sorted(f.file_name for v in r.revisions for f in v.files) for r in info.repos},
    }


def main(repo, cache):
    paths = {f: hf_hub_download(repo, f, cache_dir=cache, local_files_only=True) for f in FILES}
    with open(paths["config.json"]) as f:
        bert = Bert(json.load(f), load_file(paths["model.safetensors"]))
    tokenizer = Tokenizer.from_file(paths["tokenizer.json"])
    tokenizer.no_padding()
    vectors = [bert(tokenizer.encode(s).ids) for s in SENTENCES]
    print(json.dumps({
        "paths": paths,
        "scan": scan(cache),
        "dimensions": len(vectors[0]),
        "similarity": similarities(vectors),
    }))


main(*sys.argv[1:])
