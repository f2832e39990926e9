"""Verifies a transparency log and its receipts with aics-tlog, a package of PyPI that shares no code with the service.

    verifier.py log PREFIX VKEY                 the checkpoint, and each tile and entry under it
    verifier.py extends PREFIX VKEY FILE...     saved checkpoints: each extends those before it
    verifier.py receipt FILE VKEY [WITNESS...]  a saved receipt, cosigned by every witness named

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


def verify_log(prefix, vkey):
    reader = HttpTileReader(prefix, proxies={})
    checkpoint = open_checkpoint(reader.read_checkpoint(), vkey)
    report = audit_tiles(reader, checkpoint.size, checkpoint.root)
    return {"size": report.size, "tiles": report.tiles, "bundles": report.bundles}


def verify_extensions(prefix, vkey, *files):
    reader = HttpTileReader(prefix, proxies={})
    before = []
    proofs = 0
    for file in files:
        new = open_checkpoint(read(file), vkey)
        for old in before:
            proof = consistency_proof_from_tiles(reader, old.size, new.size, new.size)
            if not verify_consistency(old.size, new.size, old.root, new.root, proof):
                raise SystemExit(f"size {new.size} does not extend size {old.size}")
            proofs += old.size > 0
        before.append(new)
    return {"checkpoints": len(before), "proofs": proofs}


def verify_receipt(file, vkey, *witnesses):
    receipt = json.loads(read(file))
    event = verify_entry(receipt, vkey, witnesses)
    for later in receipt["laterEntries"]:
        verify_entry(later, vkey, witnesses)
    return {
        "kind": event["kind"],
        "subject": event["subject"],
        "rows": sum(len(one["rows"]) for one in [receipt, *receipt["laterEntries"]]),
        "witnesses": len(witnesses),
    }


def verify_entry(shown, vkey, witnesses):
    """Opens the commitment, and verifies the inclusion of its entry and of each row that it vouches for."""
    commitment = hmac.new(decode(shown["salt"]), shown["event"].encode(), hashlib.sha256)
    entry = f'{{"v":1,"commitment":"{encode(commitment.digest())}"}}'.encode()
    index, proof, note = parse_proof(shown["proof"])
    checkpoint = open_checkpoint(note, vkey, witnesses)
    if not verify_inclusion(leaf_hash(entry), index, checkpoint.size, proof, checkpoint.root):
        raise SystemExit(f"entry {index} is not in the tree of {checkpoint.size}")
    event = json.loads(shown["event"])
    rows = event["rows"]
    for row in shown["rows"]:
        hashed = leaf_hash(decode(row["salt"]) + row["text"].encode())
        of_row = [decode(one) for one in row["proof"]]
        if not verify_inclusion(hashed, row["index"], rows["count"], of_row, decode(rows["root"])):
            raise SystemExit(f"row {row['index']} was not written by this event")
    return event


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
    commands = {"log": verify_log, "extends": verify_extensions, "receipt": verify_receipt}
    print(json.dumps(commands[sys.argv[1]](*sys.argv[2:])))
