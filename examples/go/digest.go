package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf16"
)

// digest names what is decided; of an outcome, too.
func digest(submission map[string]any) string {
	decided := map[string]any{}
	for _, name := range []string{"submissionId", "submissionType", "submitter", "document", "fields", "version"} {
		if value, ok := submission[name]; ok {
			decided[name] = value
		}
	}
	return fmt.Sprintf("v1:%x", sha256.Sum256([]byte("countersign submission v1\n"+canonical(decided))))
}

// canonical is the canonical form of JSON (RFC 8785).
func canonical(value any) string {
	switch value := value.(type) {
	case string:
		return quoted(value)
	case []any:
		parts := make([]string, len(value))
		for i, part := range value {
			parts[i] = canonical(part)
		}
		return "[" + strings.Join(parts, ",") + "]"
	case map[string]any:
		names := slices.SortedFunc(maps.Keys(value), func(one, other string) int {
			return slices.Compare(utf16.Encode([]rune(one)), utf16.Encode([]rune(other)))
		})
		parts := make([]string, len(names))
		for i, name := range names {
			parts[i] = quoted(name) + ":" + canonical(value[name])
		}
		return "{" + strings.Join(parts, ",") + "}"
	case float64:
		// Without -0.
		return marshalled(value + 0)
	default:
		return marshalled(value)
	}
}

func marshalled(value any) string {
	text, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return string(text)
}

// quoted escapes what has to be, and nothing else, unlike encoding/json.
func quoted(text string) string {
	var quoted strings.Builder
	quoted.WriteByte('"')
	for _, char := range text {
		switch {
		case char == '"' || char == '\\':
			quoted.WriteByte('\\')
			quoted.WriteRune(char)
		case char >= ' ':
			quoted.WriteRune(char)
		case strings.ContainsRune("\b\t\n\f\r", char):
			quoted.WriteByte('\\')
			quoted.WriteByte("btn?fr"[char-'\b'])
		default:
			fmt.Fprintf(&quoted, `\u%04x`, char)
		}
	}
	quoted.WriteByte('"')
	return quoted.String()
}
