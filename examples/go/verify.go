// Checks an outcome: go run . OUTCOME.json JWKS.json
//
// OUTCOME.json is a workflow's result, and JWKS.json what the signaler serves at
// /.well-known/jwks.json, or `countersign-worker public-key` prints.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/go-jose/go-jose/v4"
)

// verify returns what was signed, as JSON: act on this.
func verify(outcome map[string]any, keys jose.JSONWebKeySet) ([]byte, error) {
	jws, _ := outcome["jws"].(string)
	signed, err := jose.ParseSigned(jws, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return nil, err
	}
	payload, err := signed.Verify(keys)
	if err != nil {
		return nil, err
	}
	var claims struct{ Digest string }
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, err
	}
	if digest(outcome) != claims.Digest {
		return nil, errors.New("something else was decided")
	}
	return payload, nil
}

func main() {
	var outcome map[string]any
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
