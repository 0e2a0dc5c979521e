// Checks what Assent signed and proved with Go's own implementation: signed notes and trees of golang.org/x/mod/sumdb.
//
//	go run check.go KEY proof FILE            an inclusion proof
//	go run check.go KEY growth OLD NEW PROOF  that the log of checkpoint NEW begins with that of OLD
package main

import (
	"encoding/base64"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func must[T any](value T, err error) T {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return value
}

func hash(text string) (hash tlog.Hash) {
	copy(hash[:], must(base64.StdEncoding.DecodeString(text)))
	return hash
}

func hashes(lines []string) (all []tlog.Hash) {
	for _, line := range lines {
		all = append(all, hash(line))
	}
	return all
}

// The size and the root of a checkpoint that is signed by the key.
func checkpoint(key, text string) (int64, tlog.Hash) {
	opened := must(note.Open([]byte(text), note.VerifierList(must(note.NewVerifier(key)))))
	lines := strings.Split(opened.Text, "\n")
	return must(strconv.ParseInt(lines[1], 10, 64)), hash(lines[2])
}

func read(file string) string { return string(must(os.ReadFile(file))) }

func main() {
	key, what, files := os.Args[1], os.Args[2], os.Args[3:]
	switch what {
	case "proof":
		head, signed, _ := strings.Cut(read(files[0]), "\n\n")
		lines := strings.Split(head, "\n")
		size, root := checkpoint(key, signed)
		leaf := must(base64.StdEncoding.DecodeString(strings.TrimPrefix(lines[1], "extra ")))
		index := must(strconv.ParseInt(strings.TrimPrefix(lines[2], "index "), 10, 64))
		proof := tlog.RecordProof(hashes(lines[3:]))
		must(0, tlog.CheckRecord(proof, size, root, index, tlog.RecordHash(leaf)))
		fmt.Printf("leaf %d of %d\n%s\n", index, size, leaf)
	case "growth":
		older, before := checkpoint(key, read(files[0]))
		size, root := checkpoint(key, read(files[1]))
		proof := tlog.TreeProof(hashes(strings.Fields(read(files[2]))))
		must(0, tlog.CheckTree(proof, size, root, older, before))
		fmt.Printf("%d leaves are the first of %d\n", older, size)
	}
}
