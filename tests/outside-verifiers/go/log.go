package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strconv"
	"strings"

	"filippo.io/torchwood"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

type logReport struct {
	Origin      string `json:"origin"`
	Size        int64  `json:"size"`
	Entries     int64  `json:"entries"`
	Sizes       int    `json:"sizes"`
	Inclusions  int    `json:"inclusions"`
	Consistency int    `json:"consistency"`
}

// verifyLog hashes every entry, builds the tree anew in memory, and holds the served tiles to it at each size: whatever
// the tiles of that size alone prove has to agree with the entries.
func verifyLog(prefix, vkey string, texts []string) (any, error) {
	sizes, err := parseSizes(texts)
	if err != nil {
		return nil, err
	}
	signed, err := fetch(prefix+"/checkpoint", "text/plain; charset=utf-8")
	if err != nil {
		return nil, err
	}
	checkpoint, err := openCheckpoint(signed, vkey)
	if err != nil {
		return nil, err
	}
	memory, err := hashEntries(prefix, checkpoint.Tree)
	if err != nil {
		return nil, err
	}
	report := logReport{Origin: checkpoint.Origin, Size: checkpoint.N, Entries: memory.records}
	trees := []tlog.Tree{}
	for _, size := range sizes {
		if size > checkpoint.N {
			return nil, fmt.Errorf("the log has %d entries, not %d", checkpoint.N, size)
		}
		root, err := tlog.TreeHash(size, memory)
		if err != nil {
			return nil, err
		}
		tree := tlog.Tree{N: size, Hash: root}
		if err := verifySize(prefix, tree, trees, memory, &report); err != nil {
			return nil, fmt.Errorf("size %d: %w", size, err)
		}
		trees = append(trees, tree)
	}
	root, err := tlog.TreeHash(checkpoint.N, memory)
	if err != nil || root != checkpoint.Hash {
		return nil, fmt.Errorf("the entries hash to %v, the checkpoint says %v (%v)", root, checkpoint.Hash, err)
	}
	return report, nil
}

// verifySize proves, from tiles of a tree of this size, entries spread over it, and each smaller tree.
func verifySize(prefix string, tree tlog.Tree, smaller []tlog.Tree, memory *memoryHashes, report *logReport) error {
	report.Sizes++
	if tree.N == 0 {
		return nil
	}
	tiles := tlog.TileHashReader(tree, &tileReader{prefix: prefix})
	for _, index := range spread(tree.N) {
		proof, err := tlog.ProveRecord(tree.N, index, tiles)
		if err != nil {
			return fmt.Errorf("proof of entry %d: %w", index, err)
		}
		leaf := memory.hashes[tlog.StoredHashIndex(0, index)]
		if err := tlog.CheckRecord(proof, tree.N, tree.Hash, index, leaf); err != nil {
			return fmt.Errorf("entry %d: %w", index, err)
		}
		report.Inclusions++
	}
	proofs, err := proveTrees(prefix, tree, smaller)
	report.Consistency += proofs
	return err
}

// verifyExtensions proves from the log's tiles that each saved checkpoint extends those before it.
func verifyExtensions(prefix, vkey string, files []string) (any, error) {
	var before []tlog.Tree
	proofs := 0
	for _, file := range files {
		signed, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		checkpoint, err := openCheckpoint(signed, vkey)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		n, err := proveTrees(prefix, checkpoint.Tree, before)
		if err != nil {
			return nil, fmt.Errorf("size %d: %w", checkpoint.N, err)
		}
		proofs += n
		before = append(before, checkpoint.Tree)
	}
	return map[string]int{"checkpoints": len(before), "proofs": proofs}, nil
}

// proveTrees proves, from tiles of a tree, that it extends each smaller one, and counts the proofs.
func proveTrees(prefix string, tree tlog.Tree, smaller []tlog.Tree) (int, error) {
	tiles := tlog.TileHashReader(tree, &tileReader{prefix: prefix})
	proofs := 0
	for _, old := range smaller {
		if old.N == 0 {
			continue // Every tree extends the empty one.
		}
		proof, err := tlog.ProveTree(tree.N, old.N, tiles)
		if err != nil {
			return proofs, fmt.Errorf("proof of size %d: %w", old.N, err)
		}
		if err := tlog.CheckTree(proof, tree.N, tree.Hash, old.N, old.Hash); err != nil {
			return proofs, fmt.Errorf("consistency with size %d: %w", old.N, err)
		}
		proofs++
	}
	return proofs, nil
}

// openCheckpoint opens a note that the key signed. Its origin is the key's name; it has no extension lines.
func openCheckpoint(signed []byte, vkey string, cosigners ...note.Verifier) (torchwood.Checkpoint, error) {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return torchwood.Checkpoint{}, fmt.Errorf("vkey: %w", err)
	}
	opened, err := note.Open(signed, note.VerifierList(append(cosigners, verifier)...))
	if err != nil {
		return torchwood.Checkpoint{}, fmt.Errorf("checkpoint: %w", err)
	}
	for _, wanted := range append(cosigners, verifier) {
		if !hasSigned(opened, wanted) {
			return torchwood.Checkpoint{}, fmt.Errorf("checkpoint: %s did not sign", wanted.Name())
		}
	}
	checkpoint, err := torchwood.ParseCheckpoint(opened.Text)
	if err != nil {
		return checkpoint, err
	}
	if checkpoint.Origin != verifier.Name() || checkpoint.Extension != "" {
		return checkpoint, fmt.Errorf("origin %q, extension %q", checkpoint.Origin, checkpoint.Extension)
	}
	if tree, err := tlog.ParseTree([]byte("go.sum database tree\n" + strings.SplitN(opened.Text, "\n", 2)[1])); err != nil || tree != checkpoint.Tree {
		return checkpoint, fmt.Errorf("the two parsers disagree: %v, %v", tree, err)
	}
	return checkpoint, nil
}

func hasSigned(opened *note.Note, by note.Verifier) bool {
	for _, signature := range opened.Sigs {
		if signature.Name == by.Name() && signature.Hash == by.KeyHash() {
			return true
		}
	}
	return false
}

// memoryHashes are all hashes of a tree, in the order in which tlog stores them.
type memoryHashes struct {
	hashes  []tlog.Hash
	records int64
}

func (m *memoryHashes) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	found := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		if index >= int64(len(m.hashes)) {
			return nil, fmt.Errorf("hash %d is not known", index)
		}
		found[i] = m.hashes[index]
	}
	return found, nil
}

// hashEntries reads each entry by torchwood's client, which holds it to its leaf's tile, and hashes the tree anew.
func hashEntries(prefix string, tree tlog.Tree) (*memoryHashes, error) {
	memory := &memoryHashes{}
	fetcher, err := torchwood.NewTileFetcher(prefix, torchwood.WithConcurrencyLimit(8))
	if err != nil {
		return nil, err
	}
	client, err := torchwood.NewClient(fetcher)
	if err != nil {
		return nil, err
	}
	for index, entry := range client.AllEntries(context.Background(), tree, 0) {
		if index != memory.records {
			return nil, fmt.Errorf("entry %d comes after %d", index, memory.records-1)
		}
		hashes, err := tlog.StoredHashes(index, entry, memory)
		if err != nil {
			return nil, err
		}
		memory.hashes = append(memory.hashes, hashes...)
		memory.records++
	}
	if err := client.Err(); err != nil {
		return nil, fmt.Errorf("entries: %w", err)
	}
	if memory.records != tree.N {
		return nil, fmt.Errorf("%d entries of %d were served", memory.records, tree.N)
	}
	return memory, nil
}

// tileReader reads tiles for tlog. Its own paths begin with the height, those of c2sp.org/tlog-tiles do not.
type tileReader struct{ prefix string }

func (r *tileReader) Height() int { return torchwood.TileHeight }

func (r *tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	data := make([][]byte, len(tiles))
	for i, tile := range tiles {
		path := "tile/" + strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", torchwood.TileHeight))
		if path != torchwood.TilePath(tile) {
			return nil, fmt.Errorf("%s is not %s", path, torchwood.TilePath(tile))
		}
		read, err := fetch(r.prefix+"/"+path, "application/octet-stream")
		if err != nil {
			return nil, err
		}
		if len(read) != tile.W*tlog.HashSize {
			return nil, fmt.Errorf("%s has %d bytes", path, len(read))
		}
		data[i] = read
	}
	return data, nil
}

func (r *tileReader) SaveTiles([]tlog.Tile, [][]byte) {}

func fetch(url, contentType string) ([]byte, error) {
	response, err := http.Get(url)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", url, response.Status)
	}
	if got := response.Header.Get("Content-Type"); got != contentType {
		return nil, fmt.Errorf("%s: Content-Type %q", url, got)
	}
	return readAll(response.Body)
}

// spread names entries at the edges of a tree and of its tiles, and some between.
func spread(size int64) []int64 {
	var found []int64
	seen := map[int64]bool{}
	for _, index := range []int64{0, 1, 254, 255, 256, 257, size / 3, size / 2, 65_535, size - 257, size - 256, size - 2, size - 1} {
		if index >= 0 && index < size && !seen[index] {
			seen[index] = true
			found = append(found, index)
		}
	}
	return found
}

func parseSizes(texts []string) ([]int64, error) {
	var sizes []int64
	for _, text := range texts {
		size, err := strconv.ParseInt(text, 10, 64)
		if err != nil || size < 0 || (len(sizes) > 0 && size < sizes[len(sizes)-1]) {
			return nil, errors.New("sizes are whole numbers that grow")
		}
		sizes = append(sizes, size)
	}
	return sizes, nil
}
