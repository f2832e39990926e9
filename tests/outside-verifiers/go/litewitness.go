package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net"
	"os"

	"filippo.io/torchwood"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// serveAgent holds the key of a new witness for litewitness, which signs by an ssh agent only. It prints the fingerprint
// and the verifier key, and serves until it is ended.
func serveAgent(socket, name string) (any, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	keyring := agent.NewKeyring()
	if err := keyring.Add(agent.AddedKey{PrivateKey: key}); err != nil {
		return nil, err
	}
	public, err := ssh.NewPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	cosigner, err := torchwood.NewCosignatureSigner(name, key)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		return nil, err
	}
	shown := map[string]string{"fingerprint": ssh.FingerprintSHA256(public), "vkey": cosigner.Verifier().String()}
	if err := json.NewEncoder(os.Stdout).Encode(shown); err != nil {
		return nil, err
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			return nil, err
		}
		go agent.ServeAgent(keyring, connection)
	}
}

// addLog writes what `witnessctl add-log` and `add-key` write. That program is not built here: it also needs packages
// of Sigsum, which not every module proxy serves.
func addLog(database, vkey string) (any, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, err
	}
	db, err := sqlite.OpenConn(database, sqlite.OpenReadWrite)
	if err != nil {
		return nil, err
	}
	defer db.Close()
	empty, err := tlog.TreeHash(0, nil)
	if err != nil {
		return nil, err
	}
	root := base64.StdEncoding.EncodeToString(empty[:])
	insert := "insert into log (origin, tree_size, tree_hash) values (?, 0, ?)"
	if err := sqlitex.Execute(db, insert, &sqlitex.ExecOptions{Args: []any{verifier.Name(), root}}); err != nil {
		return nil, err
	}
	insert = "insert into key (origin, key) values (?, ?)"
	if err := sqlitex.Execute(db, insert, &sqlitex.ExecOptions{Args: []any{verifier.Name(), vkey}}); err != nil {
		return nil, err
	}
	return map[string]string{"origin": verifier.Name()}, nil
}
