"""Recomputes a receipt from its file alone, with the standard library: python3 receipt.py FILE.

It knows nothing of the service: a commitment is opened, its entry is hashed, and the inclusion proof (RFC 9162, section
2.1.3.2) has to lead to the root of the checkpoint. So must the rows to the root that the event commits to, and the
documents to the hashes of the rows. The signatures of the checkpoint are for other tools: the library has no Ed25519.
"""

import base64
import hashlib
import hmac
import json
import sys


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def decode(text):
    return base64.b64decode(text, validate=True)


def root_from(index, size, leaf, proof):
    """The root that an inclusion proof leads to."""
    assert 0 <= index < size, "no such leaf"
    node, last, result = index, size - 1, leaf
    for sibling in proof:
        assert last > 0, "the proof is too long"
        if node & 1 or node == last:
            result = sha256(b"\x01", sibling, result)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            result = sha256(b"\x01", result, sibling)
        node, last = node >> 1, last >> 1
    assert last == 0, "the proof is too short"
    return result


def recompute(entry):
    """The event of an entry, its rows and its checkpoint, all recomputed."""
    salt, content = decode(entry["salt"]), entry["event"].encode()
    assert all(len(decode(one["salt"])) == 32 for one in [entry, *entry["rows"]]), "a salt has not 32 bytes"
    commitment = base64.b64encode(hmac.digest(salt, content, "sha256")).decode()
    leaf = sha256(b"\x00", ('{"v":1,"commitment":"%s"}' % commitment).encode())

    head, note = entry["proof"].split("\n\n", 1)
    header, *lines = head.split("\n")
    assert header == "c2sp.org/tlog-proof@v1"
    lines = [line for line in lines if not line.startswith("extra ")]
    index = int(lines[0].removeprefix("index "))
    text = note[: note.rindex("\n\n") + 1]
    origin, size, root = text.split("\n")[:3]
    reached = root_from(index, int(size), leaf, [decode(line) for line in lines[1:]])
    assert reached == decode(root), "the entry is not in the tree of the checkpoint"

    event = json.loads(content)
    rows = []
    for row in entry["rows"]:
        leaf = sha256(b"\x00", decode(row["salt"]), row["text"].encode())
        proof = [decode(one) for one in row["proof"]]
        reached = root_from(row["index"], event["rows"]["count"], leaf, proof)
        assert reached == decode(event["rows"]["root"]), "a row is not as the event says"
        rows.append(json.loads(row["text"]))
    return event, rows, {"origin": origin, "size": int(size), "index": index, "note": note}


def main(file):
    with open(file, encoding="utf-8") as opened:
        receipt = json.load(opened)
    assert receipt["v"] == 1
    event, rows, checkpoint = recompute(receipt)
    for entry in receipt["laterEntries"]:
        later, more, other = recompute(entry)
        assert event.get("late") and later["kind"] in ("rows.digested", "ledger.digested"), "an entry of another act"
        assert other["note"] == checkpoint["note"], "the checkpoints differ"
        rows += more
    assert event["subject"] == receipt["subject"]
    assert checkpoint["origin"] == receipt["origin"]

    hashes = {"\\x" + sha256(one["json"].encode()).hex() for one in receipt["documents"]}
    written = {one["row"]["hash"] for one in rows if one["table"] == "outlook_versions"}
    assert written <= hashes, "the version is not the one whose hash was written"

    del checkpoint["note"]
    print(json.dumps({"event": event, "rows": rows, "checkpoint": checkpoint}))


if __name__ == "__main__":
    main(sys.argv[1])
