"""Downloads a file with huggingface_hub, and prints as JSON how many seconds it took
until the first byte of it was there, and until all of it was.

The arguments are the repo, the file, and another one, of which only the first byte is
asked for: what a client has got so far cannot be seen from outside.
"""

import json
import os
import sys
import time
import urllib.request

from huggingface_hub import hf_hub_download

repo, file, other = sys.argv[1:]
began = time.monotonic()
with urllib.request.urlopen(f"{os.environ['HF_ENDPOINT']}/{repo}/resolve/main/{other}") as body:
    body.read(1)
first = time.monotonic() - began
began = time.monotonic()
hf_hub_download(repo, file)
print(json.dumps({"first": first, "all": time.monotonic() - began}))
