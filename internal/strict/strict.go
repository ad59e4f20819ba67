// Package strict reads JSON that can be read in only one way.
//
// Two readers of the same bytes must never see two different commands, so [Decode] refuses what
// encoding/json accepts in silence: a duplicate key, a key in another letter case, an unknown
// field, invalid UTF-8, data after the value, and nesting deeper than [MaxDepth]. [Canonical]
// writes a value in the one form of RFC 8785 (JSON Canonicalization Scheme), so that what is
// hashed is what is shown and what runs; a number that this form would round is refused.
//
// Every door of the product (model, socket, token, task) uses it; see [Decode].
package strict

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// MaxDepth is how many objects and arrays may be nested. No type of ours needs more than ten.
const MaxDepth = 32

// Value is a piece of JSON kept as it is, to be decoded later by whoever knows its type.
type Value = jsontext.Value

// Decode parses data, which must be exactly one JSON value, into v. The zero value of a field
// that data does not name stays as it is.
func Decode(data []byte, v any) error {
	if err := scan(data); err != nil {
		return err
	}
	err := json.Unmarshal(data, v, json.RejectUnknownMembers(true), json.MatchCaseInsensitiveNames(false))
	if err != nil {
		return clean(err)
	}
	return nil
}

// Encode writes v as one line of JSON with a stable member order.
func Encode(v any) ([]byte, error) {
	return json.Marshal(v, json.Deterministic(true))
}

// Canonical returns data in the form of RFC 8785.
func Canonical(data []byte) ([]byte, error) {
	if err := scan(data); err != nil {
		return nil, err
	}
	out := jsontext.Value(bytes.Clone(data))
	if err := out.Canonicalize(); err != nil {
		return nil, clean(err)
	}
	return out, nil
}

// CanonicalOf encodes v and returns it in the form of RFC 8785.
func CanonicalOf(v any) ([]byte, error) {
	data, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return Canonical(data)
}

// scan walks all tokens: syntax, UTF-8, duplicate keys, depth, exact numbers, nothing behind the value.
func scan(data []byte) error {
	dec := jsontext.NewDecoder(bytes.NewBuffer(data)) // of a Buffer it reads where it lies; of another reader it makes a copy
	for first := true; ; first = false {
		token, err := dec.ReadToken()
		if err == io.EOF {
			if first {
				return errors.New("empty input, want a JSON value")
			}
			return nil
		}
		if err != nil {
			return clean(err)
		}
		if dec.StackDepth() > MaxDepth {
			return fmt.Errorf("nested deeper than %d levels", MaxDepth)
		}
		if token.Kind() == '0' {
			if err := exact(token.String()); err != nil {
				return err
			}
		}
		if dec.StackDepth() == 0 {
			if rest := bytes.TrimSpace(data[dec.InputOffset():]); len(rest) > 0 {
				return fmt.Errorf("%d bytes after the end of the JSON value", len(rest))
			}
			return nil
		}
	}
}

// exact refuses a number that a double cannot hold: RFC 8785 would silently show another one.
func exact(text string) error {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsInf(f, 0) {
		return fmt.Errorf("number %.40s is out of range", text)
	}
	if f == math.Trunc(f) && math.Abs(f) > 1<<53-1 {
		return fmt.Errorf("number %.40s is beyond ±(2^53-1) and would be rounded; send it as a string", text)
	}
	return nil
}

// clean keeps the library's own prefix out of messages that a user or a model reads.
func clean(err error) error {
	if e, ok := errors.AsType[*jsontext.SyntacticError](err); ok && e.Err != nil {
		return fmt.Errorf("byte %d: %w", e.ByteOffset, e.Err)
	}
	if e, ok := errors.AsType[*json.SemanticError](err); ok {
		where := string(e.JSONPointer)
		if where == "" {
			where = "/"
		}
		if e.Err != nil {
			return fmt.Errorf("at %q: %w", where, e.Err)
		}
		return fmt.Errorf("at %q: a JSON %s does not fit %v", where, e.JSONKind, e.GoType)
	}
	return err
}
