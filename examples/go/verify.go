// Checks an outcome's signature: go run . OUTCOME.json JWKS.json
//
// OUTCOME.json is a workflow's result, and JWKS.json what the signaler serves at
// /.well-known/jwks.json, or `countersign-worker public-key` prints.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/go-jose/go-jose/v4"
)

// verify returns what was signed, as JSON: act on this.
func verify(outcome struct{ JWS string }, keys jose.JSONWebKeySet) ([]byte, error) {
	signed, err := jose.ParseSigned(outcome.JWS, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return nil, err
	}
	return signed.Verify(keys)
}

func main() {
	var outcome struct{ JWS string }
	var keys jose.JSONWebKeySet
	err := read(os.Args[1], &outcome)
	if err == nil {
		err = read(os.Args[2], &keys)
	}
	var claims []byte
	if err == nil {
		claims, err = verify(outcome, keys)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "Do not act on %s: %v\n", os.Args[1], err)
		os.Exit(1)
	}
	fmt.Println(string(claims))
}

func read(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, into)
}
