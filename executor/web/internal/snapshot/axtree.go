package snapshot

import (
	"strconv"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/cdp/jsonv2"
)

// axAnswer is the answer of Accessibility.getFullAXTree, as much as we read of it.
type axAnswer struct {
	Nodes []struct {
		NodeID      string            `json:"nodeId"`
		Ignored     bool              `json:"ignored"`
		Role        axValue           `json:"role"`
		Name        axValue           `json:"name"`
		Description axValue           `json:"description"`
		Value       axValue           `json:"value"`
		Properties  []axProperty      `json:"properties"`
		ChildIDs    []string          `json:"childIds"`
		Backend     cdp.BackendNodeID `json:"backendDOMNodeId"`
	} `json:"nodes"`
}

type axProperty struct {
	Name  string  `json:"name"`
	Value axValue `json:"value"`
}

type axValue struct {
	Value jsonv2.Value `json:"value"`
}

// String is a value of any kind as text.
func (v axValue) String() string {
	if len(v.Value) == 0 || v.Value[0] != '"' {
		return string(v.Value)
	}
	var s string
	if jsonv2.Unmarshal(v.Value, &s, jsonv2.AllowInvalidUTF8(true)) != nil {
		return ""
	}
	return s
}

// axNode is a node of an accessibility tree, with Chromium's names of roles. The same type is made of
// a document when there is no such tree.
type axNode struct {
	Role        string            `json:"role,omitempty"` // empty: only its children count
	Name        string            `json:"name,omitempty"`
	Description string            `json:"description,omitempty"`
	Value       string            `json:"value,omitempty"`
	Props       map[string]string `json:"props,omitempty"`
	Kids        []int             `json:"kids,omitempty"`
	Backend     cdp.BackendNodeID `json:"backend,omitempty"`
}

// lean drops what is not read, above all the boxes of lines, which are half of all nodes. The first
// node is the root.
func (a axAnswer) lean() []axNode {
	place := make(map[string]int, len(a.Nodes))
	n := 0
	for _, node := range a.Nodes {
		if node.Role.String() != "InlineTextBox" {
			place[node.NodeID] = n
			n++
		}
	}
	nodes := make([]axNode, 0, n)
	for _, node := range a.Nodes {
		if _, ok := place[node.NodeID]; !ok {
			continue
		}
		lean := axNode{Backend: node.Backend}
		for _, id := range node.ChildIDs {
			if kid, ok := place[id]; ok {
				lean.Kids = append(lean.Kids, kid)
			}
		}
		if !node.Ignored {
			lean.Role, lean.Name, lean.Description, lean.Value = node.Role.String(), node.Name.String(), node.Description.String(), node.Value.String()
			for _, p := range node.Properties {
				if value := p.Value.String(); readsProperty(p.Name) && value != "" && value != "false" || p.Name == "expanded" {
					if lean.Props == nil {
						lean.Props = make(map[string]string, 4)
					}
					lean.Props[p.Name] = value
				}
			}
		}
		nodes = append(nodes, lean)
	}
	return nodes
}

func readsProperty(name string) bool {
	switch name {
	case "focusable", "focused", "disabled", "required", "readonly", "invalid", "modal", "multiselectable", "editable",
		"checked", "pressed", "selected", "expanded", "level", "url", "valuemin", "valuemax", "valuetext":
		return true
	}
	return false
}

func (n *axNode) is(prop string) bool { return n.Props[prop] == "true" }

func (n *axNode) number(prop string) int {
	i, _ := strconv.Atoi(n.Props[prop])
	return i
}
