package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Setting is one key of the configuration: what is in force and why.
type Setting struct {
	Key     string   `json:"key"`
	Meaning string   `json:"meaning"`
	Value   any      `json:"value,omitzero"` // nil: not set
	From    string   `json:"from"`           // file:line, the environment or "built-in default"
	Default string   `json:"default,omitzero"`
	Allowed string   `json:"allowed,omitzero"`
	Keys    []string `json:"keys,omitzero"` // below it
}

// Explain says what is in force for a key such as llm.model, executors.shell.memory or
// mounts[0].host, and where it comes from. The error of an unknown key names the nearest one.
func (c *Config) Explain(path string) (Setting, error) {
	k, value, name, err := c.find(path)
	if err != nil {
		return Setting{}, err
	}
	s := Setting{Key: path, Meaning: k.meaning, From: c.from(path), Default: k.defaultFor(name), Allowed: k.allowed()}
	if value.IsValid() {
		s.Value = plain(value)
	} else {
		s.From = "not set"
	}
	if k.kind == group || k.kind == named {
		s.Keys = k.names()
	}
	return s, nil
}

// Settings lists every single value in force, in the order of the shipped file.
func (c *Config) Settings() []Setting {
	var all []Setting
	var visit func(k *key, path, name string, v reflect.Value)
	visit = func(k *key, path, name string, v reflect.Value) {
		switch {
		case !v.IsValid():
		case v.Type() == reflect.TypeFor[Rule](): // one line each; its parts are in Explain
			all = append(all, Setting{Key: path, Meaning: k.meaning, Value: v.Interface().(Rule).String(), From: c.from(path)})
		case v.Type() == reflect.TypeFor[Site]():
			all = append(all, Setting{Key: path, Meaning: k.meaning, Value: v.Interface().(Site).String(), From: c.from(path)})
		case k.kind == group:
			for _, child := range k.keys {
				visit(&child, join(path, child.name), name, field(v, child.name))
			}
		case k.kind == named && k.each.kind == group:
			names := v.MapKeys()
			slices.SortFunc(names, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
			for _, name := range names {
				visit(k.each, join(path, name.String()), name.String(), v.MapIndex(name))
			}
		case k.kind == list && k.each.kind == group && v.Len() > 0:
			for i := range v.Len() {
				visit(k.each, fmt.Sprintf("%s[%d]", path, i), name, v.Index(i))
			}
		default:
			all = append(all, Setting{Key: path, Meaning: k.meaning, Value: plain(v), From: c.from(path), Default: k.defaultFor(name), Allowed: k.allowed()})
		}
	}
	top := table()
	visit(&top, "", "", reflect.ValueOf(c).Elem())
	return all
}

func (c *Config) from(path string) string {
	if c.origin != nil {
		if at, ok := c.origin.places[path]; ok {
			return at.String()
		}
	}
	return BuiltIn
}

// find walks table and values side by side. The value of what is not set is invalid; name is the
// entry of the named group that the key is in.
func (c *Config) find(path string) (k key, v reflect.Value, name string, err error) {
	k, v = table(), reflect.ValueOf(c).Elem()
	done := ""
	for _, step := range splitPath(path) {
		if rest, ok := strings.CutPrefix(step, "["); ok {
			i, err := strconv.Atoi(strings.TrimSuffix(rest, "]"))
			if !v.IsValid() || v.Kind() != reflect.Slice {
				return k, v, "", fmt.Errorf("%s is no list", done)
			}
			if err != nil || i < 0 || i >= v.Len() {
				return k, v, "", fmt.Errorf("%s has %d items, counted from 0", done, v.Len())
			}
			if k.each != nil {
				k = *k.each
			}
			v, done = v.Index(i), done+step
			continue
		}
		child, ok := k.child(step)
		if k.kind == list || !ok || k.kind == named && k.oneOf != nil && !slices.Contains(k.oneOf, step) {
			hint := didYouMean(step, k.names())
			if k.kind == list {
				hint = fmt.Sprintf("; write %s[0] for its first item", done)
			} else if k.keys == nil && k.each == nil {
				hint = "; it has no keys below it"
			}
			return k, v, "", fmt.Errorf("unknown key %q%s", clip(join(done, step)), hint)
		}
		if k.kind == named {
			name = step
		}
		if v.IsValid() {
			v = field(v, step)
		}
		k, done = child, join(done, step)
	}
	return k, v, name, nil
}

// field is the value below v that the configuration calls name, invalid when there is none.
func field(v reflect.Value, name string) reflect.Value {
	switch v.Kind() {
	case reflect.Map:
		return v.MapIndex(reflect.ValueOf(name))
	case reflect.Struct:
		for f, sub := range v.Fields() {
			if f.IsExported() && f.Tag.Get("yaml") == name {
				return sub
			}
		}
	}
	return reflect.Value{}
}

// plain is a value with the names that the configuration uses, for JSON.
func plain(v reflect.Value) any {
	switch v.Kind() {
	case reflect.Struct:
		out := map[string]any{}
		for f, sub := range v.Fields() {
			if name := f.Tag.Get("yaml"); f.IsExported() && name != "-" {
				out[name] = plain(sub)
			}
		}
		return out
	case reflect.Slice:
		out := make([]any, v.Len())
		for i := range v.Len() {
			out[i] = plain(v.Index(i))
		}
		return out
	case reflect.Map:
		out := map[string]any{}
		for name, sub := range v.Seq2() {
			out[name.String()] = plain(sub)
		}
		return out
	case reflect.Interface:
		if v.IsNil() {
			return nil
		}
		return plain(v.Elem())
	}
	return v.Interface()
}

// String is the rule on one line: its tool and its conditions.
func (r Rule) String() string {
	text := r.Tool
	for _, argument := range slices.Sorted(maps.Keys(r.When)) {
		text += fmt.Sprintf(" %s=%s", argument, strings.Join(r.When[argument], " or "))
	}
	return text
}

// splitPath turns mounts[0].host into mounts, [0], host.
func splitPath(path string) []string {
	if path == "" {
		return nil
	}
	return strings.FieldsFunc(strings.ReplaceAll(path, "[", ".["), func(r rune) bool { return r == '.' })
}

// allowed says in words which values a key takes.
func (k *key) allowed() string {
	written := func(v float64) string {
		switch k.kind {
		case duration:
			return Duration(time.Duration(v)).String()
		case size:
			return Bytes(v).String()
		}
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	switch {
	case len(k.oneOf) > 0:
		return strings.Join(trimEmpty(k.oneOf), ", ")
	case k.max != 0:
		return written(k.min) + " to " + written(k.max)
	case k.says != "":
		return k.says
	}
	return k.kind.says()
}

// Explain says of a variable of .env what it is for, whether it is set and how it ends, and never
// more. ok is false when name is no variable of .env.
func (s Secrets) Explain(name string) (setting Setting, ok bool) {
	for _, v := range envVars() {
		if v.name != name {
			continue
		}
		setting = Setting{Key: name, Meaning: v.meaning, From: ".env or the environment", Allowed: "a line in .env, mode 0600"}
		if v.get != nil {
			setting.Value = v.get(&s).Hint()
		} else {
			setting.Value = v.show(&s)
		}
		return setting, true
	}
	return Setting{}, false
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }
