package sandbox

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/api/types/mount"
)

// differences compares a created container with the request for it, before it starts. Engines
// ignore flags in silence (no swap accounting, no AppArmor, an older API), and a fence that is
// not there must not be discovered by an attacker first. Each entry names one field, with what was
// asked and what is there; none means that the container is as asked.
func differences(config *container.Config, host *container.HostConfig, p place, got container.InspectResponse) []string {
	if got.Config == nil || got.HostConfig == nil {
		return []string{"the engine shows no configuration"}
	}
	var out []string
	differ := func(field string, want, have any) {
		if !reflect.DeepEqual(want, have) {
			out = append(out, fmt.Sprintf("%s: asked %.80v, is %.80v", field, want, have))
		}
	}
	differ("Image", p.imageID, got.Image)
	c := got.Config
	differ("User", config.User, c.User)
	differ("Tty", false, c.Tty)
	differ("OpenStdin", true, c.OpenStdin)
	differ("StdinOnce", true, c.StdinOnce)
	differ("Entrypoint", config.Entrypoint, c.Entrypoint)
	differ("Cmd", 0, len(c.Cmd))
	differ("WorkingDir", config.WorkingDir, c.WorkingDir)
	differ("Volumes", 0, len(c.Volumes)) // an image's VOLUME is a writable folder nobody granted
	// Names only: an image may set more variables, and their values could be anything.
	differ("Env", names(config.Env), names(c.Env))
	if slices.Equal(names(config.Env), names(c.Env)) {
		differ("Env values", sorted(config.Env), sorted(c.Env))
	}
	if c.Healthcheck == nil || !slices.Equal(c.Healthcheck.Test, config.Healthcheck.Test) {
		out = append(out, "Healthcheck: asked NONE, is another")
	}
	// NetworkDisabled is not compared: it is no fence but a short cut, and Podman shows false whatever it did.
	// The fence is NetworkMode, below.
	for name, want := range config.Labels { // the image may have labels of its own
		differ("Labels["+name+"]", want, c.Labels[name])
	}
	out = append(out, hostDifferences(host, got.HostConfig)...)
	return append(out, mountDifferences(host, got.Mounts)...)
}

// hostDifferences compares every field of the API's type: one that we left zero must be zero too.
func hostDifferences(want, got *container.HostConfig) []string {
	var out []string
	if !slices.Equal(want.SecurityOpt, got.SecurityOpt) {
		out = append(out, "HostConfig.SecurityOpt: not as asked (no-new-privileges, seccomp)")
	}
	w0, g := *want, *got
	w0.SecurityOpt, g.SecurityOpt = nil, nil // compared: the filter's text is long
	if want.Runtime == "" {
		g.Runtime = "" // left to the engine
	}
	w, err := fields(&w0)
	if err != nil {
		return []string{err.Error()}
	}
	h, err := fields(&g)
	if err != nil {
		return []string{err.Error()}
	}
	all := maps.Clone(w)
	maps.Copy(all, h)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if !reflect.DeepEqual(w[name], h[name]) {
			out = append(out, fmt.Sprintf("HostConfig.%s: asked %.80v, is %.80v", name, w[name], h[name]))
		}
	}
	return out
}

// fields is h as JSON fields, without the empty ones: engines write null, [], {} and absence for the same.
func fields(h *container.HostConfig) (map[string]any, error) {
	data, err := json.Marshal(h)
	if err != nil {
		return nil, fmt.Errorf("encode the engine's host configuration: %w", err)
	}
	var all map[string]any
	if err := json.Unmarshal(data, &all); err != nil {
		return nil, fmt.Errorf("decode the engine's host configuration: %w", err)
	}
	if list, ok := all["Ulimits"].([]any); ok { // engines may sort them
		slices.SortFunc(list, func(a, b any) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	}
	pruned, _ := prune(all).(map[string]any)
	return pruned, nil
}

// prune drops empty values, at every depth, but never an element of a list.
func prune(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, value := range v {
			if value = prune(value); value == nil {
				delete(v, name)
			} else {
				v[name] = value
			}
		}
		if len(v) == 0 {
			return nil
		}
	case []any:
		empty := true
		for i := range v {
			v[i] = prune(v[i])
			empty = empty && v[i] == nil
		}
		if empty {
			return nil
		}
	case string:
		if v == "" {
			return nil
		}
	case float64:
		if v == 0 {
			return nil
		}
	case bool:
		if !v {
			return nil
		}
	}
	return v
}

// mountDifferences wants our binds and nothing else: no volume of the image's, no helpful extra.
func mountDifferences(want *container.HostConfig, got []container.MountPoint) []string {
	var asked, have []string
	for _, m := range want.Mounts {
		asked = append(asked, fmt.Sprintf("%s %q→%q writable=%v %s", m.Type, m.Source, m.Target, !m.ReadOnly, mount.PropagationRPrivate))
	}
	for _, m := range got {
		if _, ours := want.Tmpfs[m.Destination]; ours && m.Type == mount.TypeTmpfs {
			continue // some engines list HostConfig.Tmpfs, compared above, here too
		}
		have = append(have, fmt.Sprintf("%s %q→%q writable=%v %s", m.Type, m.Source, m.Destination, m.RW, m.Propagation))
	}
	slices.Sort(asked)
	slices.Sort(have)
	if slices.Equal(asked, have) {
		return nil
	}
	// Only what differs: a folder can have hundreds of covers.
	missing := slices.DeleteFunc(slices.Clone(asked), func(m string) bool { return slices.Contains(have, m) })
	extra := slices.DeleteFunc(have, func(m string) bool { return slices.Contains(asked, m) })
	return []string{fmt.Sprintf("Mounts: of %d asked, missing %.300q, beside them %.300q", len(asked), missing, extra)}
}

func names(env []string) []string {
	out := make([]string, 0, len(env))
	for _, e := range env {
		name, _, _ := strings.Cut(e, "=")
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}
