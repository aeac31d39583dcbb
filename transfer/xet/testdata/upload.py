"""Uploads two revisions of a repo, as any user would, and prints what is in them.

The first argument is the endpoint, the second a token that may write.
"""

import hashlib
import json
import random
import sys

from huggingface_hub import CommitOperationAdd, HfApi

api = HfApi(endpoint=sys.argv[1], token=sys.argv[2])
repo = "acme/real"
rand = random.Random(7)


def weights(n):
    """Numbers of a narrow range: worth grouping before they are packed."""
    return b"".join(rand.randbytes(2) + b"\x3c" + bytes([rand.choice((0x3C, 0xBC))]) for _ in range(n // 4))


first = {
    "model.safetensors": weights(3_000_000),
    "noise.bin": rand.randbytes(2_500_000),
    "lines.bin": b"".join(b'{"line": %d, "text": "alpha beta gamma"}\n' % i for i in range(30_000)),
    "zeros.bin": bytes(2_000_000),
    "tiny.bin": b"one chunk",
    "config.json": b'{"a": 1}',
    "README.md": b"# real\n",
}
old = first["model.safetensors"]
second = dict(first) | {"model.safetensors": old[:5000] + b"inserted near the front" + old[5000:]}

api.create_repo(repo)
report = {}
before = {}
for name, files in ("first", first), ("second", second):
    changed = [CommitOperationAdd(p, data) for p, data in files.items() if before.get(p) != data]
    oid = api.create_commit(repo, changed, commit_message=name).oid
    report[oid] = {p: hashlib.sha256(data).hexdigest() for p, data in files.items()}
    before = files
print(json.dumps(report))
