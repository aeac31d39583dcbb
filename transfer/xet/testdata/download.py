"""Downloads files of a commit and prints the sha256 of each.

Arguments: the endpoint, the repo, the commit, paths.
"""

import hashlib
import json
import sys

from huggingface_hub import hf_hub_download

endpoint, repo, commit, *paths = sys.argv[1:]
report = {}
for path in paths:
    local = hf_hub_download(repo, path, revision=commit, endpoint=endpoint)
    with open(local, "rb") as f:
        report[path] = hashlib.sha256(f.read()).hexdigest()
print(json.dumps(report))
