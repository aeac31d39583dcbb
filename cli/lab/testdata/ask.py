"""Does with huggingface_hub what it is told to, and prints what came of it.

The argument is a file of JSON: {"threads": N, "jobs": [{"do": "file" or "snapshot",
"repo": …, "file": …, "revision": …, "token": …}, …]}. For each job, in their order,
there is an object in the list that is printed: the path and the SHA-256 of every
file there, or the names of the error's classes and what it says; and the seconds
that it took.
"""

import hashlib
import json
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

from huggingface_hub import hf_hub_download, snapshot_download


def sums(path):
    found = {}
    names = [path] if os.path.isfile(path) else [os.path.join(d, f) for d, _, fs in os.walk(path) for f in fs]
    for name in names:
        with open(name, "rb") as f:
            key = os.path.basename(name) if name == path else os.path.relpath(name, path)
            found[key] = hashlib.file_digest(f, "sha256").hexdigest()
    return found


def do(job):
    # False: not even a token that lies about somewhere
    options = {"revision": job.get("revision"), "token": job.get("token") or False}
    if job["do"] == "snapshot":
        return snapshot_download(job["repo"], **options)
    return hf_hub_download(job["repo"], job["file"], **options)


def chain(e):
    """The error and what it came of, as a traceback shows them."""
    while e:
        yield e
        e = e.__cause__ or e.__context__


def attempt(job):
    began = time.monotonic()
    said = {}
    try:
        path = do(job)
        said = {"path": path, "sums": sums(path)}
    except Exception as e:
        said = {"error": [c.__name__ for c in type(e).__mro__], "says": "; because ".join(map(str, chain(e)))}
    said["seconds"] = round(time.monotonic() - began, 3)
    return said


with open(sys.argv[1]) as f:
    todo = json.load(f)
with ThreadPoolExecutor(todo["threads"]) as pool:
    print(json.dumps(list(pool.map(attempt, todo["jobs"]))))
