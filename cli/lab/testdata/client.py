"""Asks the Hub for all that programs ask it for, by huggingface_hub.

    client.py BIG_REPO BIG_FILE [no-xet]

Where the Hub is and where the cache lies is for the environment to say. With
no-xet the package hf_xet is not there, as far as the library can tell. Prints
one JSON object; whoever calls decides what is right.
"""

import hashlib
import importlib.metadata
import json
import os
import sys

repo, big = sys.argv[1:3]

if "no-xet" in sys.argv:
    sys.modules["hf_xet"] = None  # so that an import fails
    version = importlib.metadata.version

    def without(name):
        if name.replace("-", "_") == "hf_xet":
            raise importlib.metadata.PackageNotFoundError(name)
        return version(name)

    importlib.metadata.version = without

from huggingface_hub import (
    HfApi,
    HfFileSystem,
    __version__,
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    scan_cache_dir,
    snapshot_download,
    try_to_load_from_cache,
)
from huggingface_hub.utils._runtime import is_xet_available

TINY, DATA = "acme/tiny", "acme/data"


def files(folder):
    return sorted(
        os.path.relpath(os.path.join(at, name), folder) for at, _, names in os.walk(folder) for name in names
    )


def error(call, *args, **kwargs):
    try:
        return f"no error but {call(*args, **kwargs)}"
    except Exception as e:
        return type(e).__name__


def ranges(size):
    """Parts of the big file, one far ahead of the other, as torch and pandas read them."""
    fs = HfFileSystem()
    found = []
    for start in (0, size * 2 // 3, size - 1000):
        data = fs.cat_file(f"{repo}/{big}", start, min(start + 300_000, size))
        found.append([start, len(data), hashlib.sha256(data).hexdigest()])
    with fs.open(f"{repo}/{big}", block_size=1 << 20) as f:
        f.seek(size // 2)
        data = f.read(5000)
        found.append([size // 2, len(data), hashlib.sha256(data).hexdigest()])
    return found


def head():
    m = get_hf_file_metadata(hf_hub_url(repo, big))
    return {"commit": m.commit_hash, "etag": m.etag, "size": m.size, "location": m.location, "xet": m.xet_file_data is not None}


def scan():
    info = scan_cache_dir()
    return {
        "warnings": [str(w) for w in info.warnings],
        "repos": {f"{r.repo_type}s/{r.repo_id}": sorted({f.file_name for v in r.revisions for f in v.files}) for r in info.repos},
    }


api = HfApi()
report = {
    "version": __version__,
    "has_xet": is_xet_available(),
    "big": hf_hub_download(repo, big),
    "head": head(),
    "part": files(snapshot_download(TINY, allow_patterns=["*.json", "sub/*"], ignore_patterns="*secret*")),
    "data": snapshot_download(DATA, repo_type="dataset"),
    "tiny": snapshot_download(TINY),
    "pr_file": hf_hub_download(TINY, "proposal.txt", revision="refs/pr/1"),
    "pr": snapshot_download(TINY, revision="refs/pr/1"),
    "ranges": ranges(head()["size"]),
    "info": api.model_info(TINY).sha,
    "listed": sorted(api.list_repo_files(TINY)),
    "xet_hashes": [f.path for f in api.list_repo_tree(repo) if getattr(f, "xet_hash", None)],
    "paths": [f.path for f in api.get_paths_info(TINY, ["config.json", "sub", "missing"])],
    "pull_requests": [r.ref for r in api.list_repo_refs(TINY, include_pull_requests=True).pull_requests],
    "exists": [api.file_exists(TINY, f) for f in ("config.json", "missing")],
    "errors": [
        error(hf_hub_download, TINY, "missing.bin"),
        error(hf_hub_download, TINY, "config.json", revision="missing"),
        error(hf_hub_download, "acme/missing", "config.json"),
        error(snapshot_download, "acme/missing"),
    ],
    "known_missing": type(try_to_load_from_cache(TINY, "missing.bin")).__name__ == "object",
    "scan": scan(),
    "cache": constants.HF_HUB_CACHE,
}
print(json.dumps(report))
