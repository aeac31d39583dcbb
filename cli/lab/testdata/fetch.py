"""Downloads one file when told to.

    fetch.py REPO FILE GO

Says "ready", waits until there is a file GO, and prints where the download lies.
"""

import os
import sys
import time

from huggingface_hub import hf_hub_download

repo, file, go = sys.argv[1:]
print("ready", flush=True)
while not os.path.exists(go):
    time.sleep(0.01)
print(hf_hub_download(repo, file))
