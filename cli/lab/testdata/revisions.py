"""Uploads three revisions of a safetensors file, as any user would.

The arguments are the endpoint, a token that may write, the repo, how many
tensors of a million bytes the file has, and the file that gets the list of the
commits: what is printed may have the client's own words in it. Revision 2 has
other numbers in two of a hundred tensors, at least in one; revision 3 is the
first one with 1,234 bytes inserted at five million. Plain Python does for that.
"""

import json
import random
import struct
import sys

from huggingface_hub import HfApi

endpoint, token, repo, count, report = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5]
size = 1_000_000
rand = random.Random(1)

# The upper byte of a half-precision number near zero: signs and few exponents.
upper = bytes(0x80 * (i & 1) | 0x28 + (i >> 1) % 20 for i in range(256))


def noise():
    """Numbers as weights are: full mantissas, exponents of a narrow range."""
    tensor = bytearray(size)
    tensor[0::2] = rand.randbytes(size // 2)
    tensor[1::2] = rand.randbytes(size // 2).translate(upper)
    return bytes(tensor)


def safetensors(tensors):
    header = {
        f"layer.{i}.weight": {"dtype": "F16", "shape": [size // 2], "data_offsets": [i * size, (i + 1) * size]}
        for i in range(len(tensors))
    }
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + b"".join(tensors)


tensors = [noise() for _ in range(count)]
first = safetensors(tensors)
for i in range(max(1, count // 50)):
    tensors[(17 + 43 * i) % count] = noise()
second = safetensors(tensors)
third = first[:5_000_000] + rand.randbytes(1234) + first[5_000_000:]

api = HfApi(endpoint=endpoint, token=token)
api.create_repo(repo)
commits = [
    api.upload_file(path_or_fileobj=data, path_in_repo="model.safetensors", repo_id=repo).oid
    for data in (first, second, third)
]
with open(report, "w") as f:
    json.dump(commits, f)
