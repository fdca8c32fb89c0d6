"""Prints the rows of a delimited file, as Python's csv module reads them, as JSON. Usage: read-with.py FILE OPTIONS"""
import csv
import json
import sys

path, options = sys.argv[1], json.loads(sys.argv[2])
csv.field_size_limit(10**9)
with open(path, encoding=options.pop("encoding"), newline="") as file:
    json.dump(list(csv.reader(file, strict=True, **options)), sys.stdout)
