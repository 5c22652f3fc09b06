package main

import "testing"

func TestEveryLanguageHasTheseDigests(t *testing.T) {
	var vectors []struct {
		Name       string
		Submission map[string]any
		Digest     string
	}
	if err := read("../../protos/vectors/digest.json", &vectors); err != nil || len(vectors) == 0 {
		t.Fatal(len(vectors), err)
	}
	for _, vector := range vectors {
		if digest := digest(vector.Submission); digest != vector.Digest {
			t.Errorf("%s: %s", vector.Name, digest)
		}
	}
}
