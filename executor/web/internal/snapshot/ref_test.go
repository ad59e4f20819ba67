package snapshot

import (
	"fmt"
	"strings"
	"testing"
)

// refsOf are the refs of a page by role and name, in order.
func refsOf(p *Page) map[string][]string {
	m := make(map[string][]string)
	walk(p.root, func(n *node) {
		if n.ref != "" {
			m[n.word+" "+n.name] = append(m[n.word+" "+n.name], n.shown())
		}
	})
	return m
}

func buttons(names ...string) *capture {
	nodes := []axNode{{Role: "RootWebArea"}}
	for i, name := range names {
		nodes[0].Kids = append(nodes[0].Kids, i+1)
		nodes = append(nodes, axNode{Role: "button", Name: name, Backend: 100, Props: props("focusable", "true")})
	}
	return made(nodes...)
}

// TestRefsHold: a ref means the same thing when the page has changed around it.
func TestRefsHold(t *testing.T) {
	before := refsOf(newPage(buttons("Save", "Like", "Like")))
	after := refsOf(newPage(buttons("New", "Like", "More", "Save", "Like", "Like")))
	if before["button Save"][0] != after["button Save"][0] {
		t.Errorf("the ref of Save was %v, is %v", before["button Save"], after["button Save"])
	}
	for i := range 2 {
		if before["button Like"][i] != after["button Like"][i] {
			t.Errorf("the refs of Like were %v, are %v", before["button Like"], after["button Like"])
		}
	}
	all := make(map[string]bool)
	for _, list := range after {
		for _, ref := range list {
			if all[ref] {
				t.Errorf("%s means two things", ref)
			}
			all[ref] = true
		}
	}
}

// TestRefsOfItems: equal buttons in items of a list are told apart by their item, so that an item before
// them moves none.
func TestRefsOfItems(t *testing.T) {
	list := func(items ...string) map[string]string {
		nodes := []axNode{{Role: "RootWebArea", Kids: []int{1}}, {Role: "list"}}
		for _, item := range items {
			at := len(nodes)
			nodes[1].Kids = append(nodes[1].Kids, at)
			nodes = append(nodes, axNode{Role: "listitem", Kids: []int{at + 1, at + 3}},
				axNode{Role: "heading", Name: item, Kids: []int{at + 2}}, text(item),
				axNode{Role: "button", Name: "Buy", Backend: 7, Props: props("focusable", "true")})
		}
		p := newPage(made(nodes...))
		refs := make(map[string]string)
		for i, ref := range refsOf(p)["button Buy"] {
			refs[items[i]] = ref
		}
		return refs
	}
	before, after := list("Tea", "Milk"), list("Bread", "Milk", "Tea")
	for item, ref := range before {
		if after[item] != ref {
			t.Errorf("the ref of Buy at %s was %s, is %s", item, ref, after[item])
		}
	}
}

func TestElement(t *testing.T) {
	p := newPage(buttons("Save", "Save\u202e"))
	ref := refsOf(p)["button Save"][0]
	for _, asked := range []string{ref, "[" + ref + "]", " " + ref} {
		got, ok := p.Element(asked)
		if !ok || got.Node != 100 || got.Role != "button" || got.Name != "Save" {
			t.Errorf("Element(%q) = %+v, %v, want the button Save", asked, got, ok)
		}
	}
	for _, asked := range []string{"", "[]", ref[:3], ref + "z", "9999", "button", ref + " button"} {
		if got, ok := p.Element(asked); ok {
			t.Errorf("Element(%q) = %+v, want nothing", asked, got)
		}
	}
}

// TestRefsGrow: refs that would be the same become longer, both of them; a longer one still holds when
// it need not be so long, and a shorter one that has become ambiguous means nothing.
func TestRefsGrow(t *testing.T) {
	var names []string
	for i := range 20_000 {
		names = append(names, fmt.Sprint("button ", i))
	}
	p := newPage(buttons(names...))
	seen := make(map[string]bool)
	var long *node
	walk(p.root, func(n *node) {
		if n.ref == "" {
			return
		}
		if ref := n.shown(); seen[ref] || !isRef(ref) {
			t.Errorf("the ref %s is given twice, or is none", ref)
		} else {
			seen[ref] = true
		}
		if n.length > minRef {
			long = n
		}
	})
	if long == nil {
		t.Fatal("20,000 refs of 4 characters did not meet")
	}
	if got, ok := p.Element(long.ref[:minRef]); ok {
		t.Errorf("Element(%s) = %+v, want nothing: two things begin so", long.ref[:minRef], got)
	}
	alone := newPage(buttons(long.name))
	if got, ok := alone.Element(long.shown()); !ok || got.Name != long.name {
		t.Errorf("Element(%s) = %+v, %v, want %s", long.shown(), got, ok, long.name)
	}
}

func TestRefsAreWritten(t *testing.T) {
	p := newPage(recording(t, "tricks"))
	tree := p.Tree(1 << 20).Text
	n := 0
	walk(p.root, func(node *node) {
		if node.ref == "" {
			return
		}
		n++
		if !strings.Contains(tree, "["+node.shown()+" "+node.word) {
			t.Errorf("the tree has no [%s %s", node.shown(), node.word)
		}
		got, ok := p.Element(node.shown())
		if !ok || got.Node != node.backend || got.Node == 0 {
			t.Errorf("Element(%s) = %+v, %v, want node %d", node.shown(), got, ok, node.backend)
		}
	})
	if n < 40 {
		t.Errorf("%d refs, want those of a page full of things", n)
	}
}
