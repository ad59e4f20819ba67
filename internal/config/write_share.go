package config

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"

	defaults "github.com/secureclaw/secureclaw/config"
)

// Share is the folder of the user's own that tools work in: the mount called workspace, or else the
// first one that is not the inbox. Index is its place in mounts, -1 when there is none.
type Share struct {
	Index     int
	Host      string // as the file is to write it; [SetShare] leaves it alone when it is empty
	Container string
	Mode      string
}

// Share finds the folder that `secureclaw init` asks about. Its Host is absolute here.
func (c *Config) Share() Share {
	i := slices.IndexFunc(c.Mounts, func(m Mount) bool { return m.Name == "workspace" })
	if i < 0 {
		i = slices.IndexFunc(c.Mounts, func(m Mount) bool { return m.Name != InboxMount })
	}
	if i < 0 {
		return Share{Index: -1, Container: "/workspace", Mode: "rw"}
	}
	return Share{Index: i, Host: c.Mounts[i].Host, Container: c.Mounts[i].Container, Mode: c.Mounts[i].Mode}
}

// CheckShare says where the folder is, or why it must not be shared: what belongs to the system or
// to SecureClaw, what is no folder, and what lies in another shared folder. user is the folder that ~
// stands for. A folder that does not exist is fine here.
func (c *Config) CheckShare(share Share, dirs Dirs, user string) (abs string, err error) {
	abs, why := resolveHost(share.Host, dirs.Home, user)
	if why != "" {
		return "", errors.New(why)
	}
	const what = "the folder"
	s := newSource("", nil)
	s.checkOnDisk(Mount{Host: abs, Mode: share.Mode}, what, dirs)
	if len(s.errors) > 0 {
		return "", errors.New(strings.TrimPrefix(s.errors[0].Message, what+": "))
	}
	for i, other := range c.Mounts {
		if i != share.Index && (share.Mode == "rw" || other.Mode == "rw") && meet(abs, other.Host) { // as checkApart says
			return "", fmt.Errorf("%s and %s, which is shared as %s, lie in one another, and one is writable: a tool could put a link in place of the other", abs, other.Host, other.Name)
		}
	}
	return abs, nil
}

// SetShare writes host and mode of a share into a secureclaw.yaml, see [SetText]. When the file has
// no mounts, the built-in ones are written with it, because a list replaces them all.
func SetShare(data []byte, share Share) ([]byte, error) {
	root, err := documentOf(data)
	if err != nil {
		return nil, err
	}
	const path = "mounts"
	if mounts := nodeAt(root, []string{path}); mounts != nil && !isNull(mounts) && share.Index >= 0 {
		at := path + "[" + strconv.Itoa(share.Index) + "]"
		if share.Host != "" {
			if data, err = SetText(data, at+".host", share.Host); err != nil {
				return nil, err
			}
		}
		if was := nodeAt(root, splitPath(at+".mode")); was == nil && share.Mode == "ro" {
			return data, nil // what it is when nobody says
		}
		return SetText(data, at+".mode", share.Mode)
	} else if mounts != nil && !isNull(mounts) {
		return setValue(data, path, mountList([]Mount{{Name: "workspace", Host: share.Host, Container: share.Container, Mode: share.Mode}}))
	}
	shipped, err := documentOf(defaults.YAML)
	if err != nil {
		return nil, err
	}
	var mounts []Mount
	if err := find(shipped, path).Decode(&mounts); err != nil {
		return nil, err
	}
	if share.Index < 0 || share.Index >= len(mounts) {
		return nil, errors.New("mounts: there is no such item")
	}
	mounts[share.Index].Host, mounts[share.Index].Mode = cmp.Or(share.Host, mounts[share.Index].Host), share.Mode
	return setValue(data, path, mountList(mounts))
}

// mountList is mounts with what every mount must say.
func mountList(mounts []Mount) *yaml.Node {
	list := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
	for _, m := range mounts {
		item := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for _, pair := range [][2]string{{"name", m.Name}, {"host", m.Host}, {"container", m.Container}, {"mode", m.Mode}} {
			item.Content = append(item.Content, textNode(pair[0]), textNode(pair[1]))
		}
		list.Content = append(list.Content, item)
	}
	return list
}
