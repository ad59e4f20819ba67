package snapshot

import (
	"crypto/sha256"
	"encoding/base32"
	"strings"
)

// A ref is a short hash of where a thing is (the frames around it, and the item of a list, table or
// thread, known by its heading or link), what it is (role, name, where a link leads) and which of several
// equal ones. It does not depend on what else the page has, so that it
// holds in later calls. When two things get the same ref, both get longer ones: no ref ever changes
// from one thing to another because of what the page adds.
const (
	minRef = 4
	maxRef = 26
)

const refAlphabet = "0123456789abcdefghjkmnpqrstvwxyz"

// refs gives all their refs and returns them by their longest form.
func refs(root *node) map[string]*node {
	encoding := base32.NewEncoding(refAlphabet).WithPadding(base32.NoPadding)
	equal := make(map[string]int)
	named := make(map[string]*node)
	var list []*node
	walkItems(root, "", func(n *node, item string) {
		if n.key == "" {
			return
		}
		n.key += "\x00" + item
		equal[n.key]++
		sum := sha256.Sum256([]byte(n.key + "\x00" + itoa(equal[n.key])))
		// A digit and a letter: no word or number of a page looks so by chance.
		long := string('0'+sum[31]%10) + refAlphabet[10+sum[30]%22:][:1] + encoding.EncodeToString(sum[:])
		n.ref = long[:maxRef]
		named[n.ref] = n
		list = append(list, n)
	})
	for length := minRef; len(list) > 0 && length < maxRef; length++ {
		count := make(map[string]int, len(list))
		for _, n := range list {
			count[n.ref[:length]]++
		}
		rest := list[:0:0]
		for _, n := range list {
			if count[n.ref[:length]] == 1 {
				n.length = length
			} else {
				rest = append(rest, n)
			}
		}
		list = rest
	}
	return named
}

// walk calls f for every node, parents first.
func walk(n *node, f func(*node)) {
	f(n)
	for _, kid := range n.kids {
		walk(kid, f)
	}
}

// walkItems is walk with what the item around each node is known by.
func walkItems(n *node, item string, f func(n *node, item string)) {
	f(n, item)
	if n.word == "-" || n.word == "row" || n.word == "article" {
		if by := n.known(0); by != "" {
			item = by
		}
	}
	for _, kid := range n.kids {
		walkItems(kid, item, f)
	}
}

// known is the name of an item, or its first heading, header or link.
func (n *node) known(depth int) string {
	switch {
	case depth == 0 && n.name != "":
		return n.name
	case len(n.word) == 2 && n.word[0] == 'h' || n.word == "rowheader":
		return n.content()
	case n.url != "":
		return place(n.url)
	case depth > 0 && (n.word == "-" || n.word == "row" || n.word == "article"):
		return ""
	}
	for _, kid := range n.kids {
		if by := kid.known(depth + 1); by != "" {
			return by
		}
	}
	return ""
}

// shown is the ref as it is written.
func (n *node) shown() string {
	if n.length == 0 {
		return n.ref
	}
	return n.ref[:n.length]
}

// isRef reports whether a word has the form of a ref.
func isRef(word string) bool {
	return len(word) >= minRef && strings.Trim(word[:1], refAlphabet[:10]) == "" && strings.Trim(word[1:2], refAlphabet[10:]) == "" &&
		strings.Trim(word, refAlphabet) == ""
}

// find is the one node that a ref means, with or without brackets: one that was longer in another
// call is still right, one that has become ambiguous is not.
func find(named map[string]*node, ref string) *node {
	ref = strings.Trim(ref, "[] ")
	if len(ref) < minRef {
		return nil
	}
	var found *node
	for long, n := range named {
		if strings.HasPrefix(long, ref) {
			if found != nil {
				return nil
			}
			found = n
		}
	}
	return found
}
