"""Verifies a transparency log and its receipts with aics-tlog, a package of PyPI that shares no code with the service.

    judge.py log PREFIX VKEY                 the checkpoint, and each tile and entry under it
    judge.py extends OLD NEW PREFIX VKEY     two saved checkpoints: the newer extends the older
    judge.py receipt FILE VKEY [WITNESS...]  a saved receipt, cosigned by every witness named

It prints a line of JSON, or ends with an error that says what does not verify.
"""

import base64
import hashlib
import hmac
import json
import sys

from aics_tlog import (
    HttpTileReader,
    audit_tiles,
    consistency_proof_from_tiles,
    leaf_hash,
    parse_checkpoint,
    parse_note,
    parse_vkey,
    verify_checkpoint,
    verify_consistency,
    verify_inclusion,
)


def judge_log(prefix, vkey):
    reader = HttpTileReader(prefix, proxies={})
    checkpoint = open_checkpoint(reader.read_checkpoint(), vkey)
    report = audit_tiles(reader, checkpoint.size, checkpoint.root)
    return {"size": report.size, "tiles": report.tiles, "bundles": report.bundles}


def judge_extension(old_file, new_file, prefix, vkey):
    old, new = (open_checkpoint(read(file), vkey) for file in (old_file, new_file))
    reader = HttpTileReader(prefix, proxies={})
    proof = consistency_proof_from_tiles(reader, old.size, new.size, new.size)
    if not verify_consistency(old.size, new.size, old.root, new.root, proof):
        raise SystemExit(f"size {new.size} does not extend size {old.size}")
    return {"old": old.size, "new": new.size}


def judge_receipt(file, vkey, *witnesses):
    receipt = json.loads(read(file))
    commitment = hmac.new(decode(receipt["salt"]), receipt["event"].encode(), hashlib.sha256)
    entry = f'{{"v":1,"commitment":"{encode(commitment.digest())}"}}'.encode()
    index, proof, note = parse_proof(receipt["proof"])
    checkpoint = open_checkpoint(note, vkey, witnesses)
    if not verify_inclusion(leaf_hash(entry), index, checkpoint.size, proof, checkpoint.root):
        raise SystemExit(f"entry {index} is not in the tree of {checkpoint.size}")
    event = json.loads(receipt["event"])
    for row in receipt["rows"]:
        hashed = leaf_hash(decode(row["salt"]) + row["text"].encode())
        of_row = [decode(one) for one in row["proof"]]
        rows = event["rows"]
        if not verify_inclusion(hashed, row["index"], rows["count"], of_row, decode(rows["root"])):
            raise SystemExit(f"row {row['index']} was not written by this event")
    return {
        "kind": event["kind"],
        "subject": event["subject"],
        "rows": len(receipt["rows"]),
        "witnesses": len(witnesses),
    }


def open_checkpoint(signed, vkey, witnesses=()):
    note = parse_note(signed)
    log = parse_vkey(vkey)
    keys = [parse_vkey(one) for one in witnesses]
    result = verify_checkpoint(note, log, keys, len(keys), expected_origin=log.name)
    if not result.ok:
        raise SystemExit(result.error)
    return parse_checkpoint(note.text)


def parse_proof(text):
    """The index, the inclusion proof and the checkpoint of a c2sp.org/tlog-proof@v1."""
    head, _, note = text.partition("\n\n")
    lines = head.split("\n")
    if lines[0] != "c2sp.org/tlog-proof@v1" or not lines[1].startswith("index "):
        raise SystemExit("not a c2sp.org/tlog-proof@v1 with an index")
    return int(lines[1].removeprefix("index ")), [decode(line) for line in lines[2:]], note


def read(file):
    with open(file, "rb") as opened:
        return opened.read()


def decode(text):
    return base64.b64decode(text, validate=True)


def encode(data):
    return base64.b64encode(data).decode()


if __name__ == "__main__":
    commands = {"log": judge_log, "extends": judge_extension, "receipt": judge_receipt}
    print(json.dumps(commands[sys.argv[1]](*sys.argv[2:])))
