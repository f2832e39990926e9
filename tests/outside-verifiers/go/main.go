// Program verifier verifies a transparency log and its receipts with Go's own packages of the field:
// golang.org/x/mod/sumdb (tlog, note) and filippo.io/torchwood. It shares no code with the service.
//
//	verifier log <prefix> <vkey> <size>...        checkpoint, tiles, entries and proofs of a log, at each size
//	verifier extends <prefix> <vkey> <file>...    saved checkpoints: each extends those before it
//	verifier receipt <file> <vkey> [<witness>...] a saved receipt, cosigned by every witness named
//	verifier cosigned <file> <vkey> <witness>     a saved checkpoint and one cosignature on it
//	verifier agent <socket> <name>                an ssh agent with the key of a new witness, for litewitness
//	verifier know <database> <vkey>               a log that litewitness is to cosign
//
// It prints a line of JSON, or ends with 1 and says what does not verify.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
)

func main() {
	if len(os.Args) < 2 {
		fail(errors.New("name a command"))
	}
	report, err := run(os.Args[1], os.Args[2:])
	if err != nil {
		fail(err)
	}
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		fail(err)
	}
}

func run(command string, args []string) (any, error) {
	least := map[string]int{"log": 3, "extends": 3, "receipt": 2, "cosigned": 3, "agent": 2, "know": 2}
	if n, known := least[command]; !known || len(args) < n {
		return nil, fmt.Errorf("%s: unknown, or too few arguments", command)
	}
	switch command {
	case "log":
		return verifyLog(args[0], args[1], args[2:])
	case "extends":
		return verifyExtensions(args[0], args[1], args[2:])
	case "receipt":
		return verifyReceipt(args[0], args[1], args[2:])
	case "cosigned":
		return verifyCosigned(args[0], args[1], args[2])
	case "agent":
		return serveAgent(args[0], args[1])
	default:
		return addLog(args[0], args[1])
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
