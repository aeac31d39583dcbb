"""Loads data sets as programs do, by datasets.

    dataset.py LINES TABLE

LINES is a repo with JSON lines, TABLE one with a Parquet file, which is also read
in parts as it arrives. Prints one JSON object.
"""

import json
import sys

import datasets

lines, table = sys.argv[1:]
by_lines = datasets.load_dataset(lines)
by_table = datasets.load_dataset(table, split="train")
stream = datasets.load_dataset(table, split="train", streaming=True)
print(json.dumps({
    "version": datasets.__version__,
    "splits": {name: split.num_rows for name, split in by_lines.items()},
    "text": by_lines["test"][7]["text"],
    "rows": by_table.num_rows,
    "sum": sum(by_table["number"]),
    "streamed": [row["number"] for row in stream.take(3)],
    "sum_streamed": sum(row["number"] for row in stream),
}))
