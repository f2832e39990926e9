package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// More than any tile, bundle, checkpoint or receipt of these tests has.
const largest = 64 << 20

func readAll(from io.Reader) ([]byte, error) {
	read, err := io.ReadAll(io.LimitReader(from, largest+1))
	if err == nil && len(read) > largest {
		err = errors.New("too large")
	}
	return read, err
}

type receipt struct {
	entry
	LaterEntries []entry `json:"laterEntries"`
}

// entry is an entry of the log with what opens it, and rows that it vouches for.
type entry struct {
	Event string `json:"event"`
	Salt  []byte `json:"salt"`
	Proof string `json:"proof"`
	Rows  []struct {
		Index int64    `json:"index"`
		Salt  []byte   `json:"salt"`
		Text  string   `json:"text"`
		Proof [][]byte `json:"proof"`
	} `json:"rows"`
}

type event struct {
	Kind    string `json:"kind"`
	Subject string `json:"subject"`
	Rows    struct {
		Count int64  `json:"count"`
		Root  []byte `json:"root"`
	} `json:"rows"`
}

// verifyReceipt verifies each entry of a receipt.
func verifyReceipt(file, vkey string, witnesses []string) (any, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var shown receipt
	if err := json.Unmarshal(text, &shown); err != nil {
		return nil, err
	}
	policy, err := policyOf(vkey, witnesses)
	if err != nil {
		return nil, err
	}
	opened, err := verifyEntry(shown.entry, policy)
	if err != nil {
		return nil, err
	}
	rows := len(shown.Rows)
	for _, later := range shown.LaterEntries {
		if _, err := verifyEntry(later, policy); err != nil {
			return nil, fmt.Errorf("a later entry: %w", err)
		}
		rows += len(later.Rows)
	}
	return map[string]any{"kind": opened.Kind, "subject": opened.Subject, "rows": rows, "witnesses": len(witnesses)}, nil
}

// verifyEntry opens the commitment, and verifies the inclusion of its entry and of each row that it vouches for.
func verifyEntry(shown entry, policy torchwood.Policy) (event, error) {
	var opened event
	mac := hmac.New(sha256.New, shown.Salt)
	mac.Write([]byte(shown.Event))
	data := fmt.Sprintf(`{"v":1,"commitment":"%s"}`, base64.StdEncoding.EncodeToString(mac.Sum(nil)))
	if err := torchwood.VerifyProof(policy, tlog.RecordHash([]byte(data)), []byte(shown.Proof)); err != nil {
		return opened, err
	}
	if err := json.Unmarshal([]byte(shown.Event), &opened); err != nil {
		return opened, err
	}
	if len(opened.Rows.Root) != tlog.HashSize {
		return opened, errors.New("the root of the rows has not 32 bytes")
	}
	for _, row := range shown.Rows {
		hash := tlog.RecordHash(append(append([]byte{}, row.Salt...), row.Text...))
		var proof tlog.RecordProof
		for _, one := range row.Proof {
			if len(one) != tlog.HashSize {
				return opened, errors.New("a hash of a row's proof has not 32 bytes")
			}
			proof = append(proof, tlog.Hash(one))
		}
		if err := tlog.CheckRecord(proof, opened.Rows.Count, tlog.Hash(opened.Rows.Root), row.Index, hash); err != nil {
			return opened, fmt.Errorf("row %d: %w", row.Index, err)
		}
	}
	return opened, nil
}

func policyOf(vkey string, witnesses []string) (torchwood.Policy, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, err
	}
	policies := []torchwood.Policy{torchwood.SingleVerifierPolicy(verifier), torchwood.OriginPolicy(verifier.Name())}
	for _, witness := range witnesses {
		cosigner, err := torchwood.NewCosignatureVerifier(witness)
		if err != nil {
			return nil, fmt.Errorf("witness %s: %w", witness, err)
		}
		policies = append(policies, torchwood.SingleVerifierPolicy(cosigner))
	}
	return torchwood.ThresholdPolicy(len(policies), policies...), nil
}

// verifyCosigned opens a checkpoint by the log's key and a witness's, and says when the witness cosigned.
func verifyCosigned(file, vkey, witness string) (any, error) {
	signed, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	cosigner, err := torchwood.NewCosignatureVerifier(witness)
	if err != nil {
		return nil, err
	}
	checkpoint, err := openCheckpoint(signed, vkey, cosigner)
	if err != nil {
		return nil, err
	}
	opened, err := note.Open(signed, note.VerifierList(cosigner))
	if err != nil {
		return nil, err
	}
	seconds, err := torchwood.CosignatureTimestamp(opened.Sigs[0])
	if err != nil {
		return nil, err
	}
	name, _, _ := strings.Cut(witness, "+")
	return map[string]any{"size": checkpoint.N, "witness": name, "seconds": seconds}, nil
}
