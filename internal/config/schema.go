package config

import "encoding/json"

// Schema is the JSON Schema (draft 2020-12) of secureclaw.yaml, for editors. It follows the table
// that [Parse] checks by, and says all that one value alone can show.
func Schema() ([]byte, error) {
	top := table()
	schema := schemaOf(&top, "")
	schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	schema["title"] = "secureclaw.yaml"
	data, err := json.MarshalIndent(schema, "", "  ")
	return append(data, '\n'), err
}

// Patterns of texts that are more than texts.
const (
	durationPattern = `^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$`
	sizePattern     = `^(0|[1-9][0-9]*)(B|KiB|MiB|GiB|TiB)?$`
)

// schemaOf describes k below the named group's entry called name.
func schemaOf(k *key, name string) map[string]any {
	s := map[string]any{}
	switch k.kind {
	case group:
		s["type"], s["additionalProperties"] = "object", false
		properties, required := map[string]any{}, []string{}
		for _, c := range k.keys {
			properties[c.name] = schemaOf(&c, name)
			if c.required {
				required = append(required, c.name)
			}
		}
		s["properties"] = properties
		if len(required) > 0 {
			s["required"] = required
		}
		if k.short != "" {
			alone, _ := k.child(k.short)
			s = map[string]any{"anyOf": []any{schemaOf(&alone, name), s}}
		}
	case named:
		s["type"] = "object"
		if k.oneOf == nil {
			s["additionalProperties"] = schemaOf(k.each, "")
			break
		}
		properties := map[string]any{}
		for _, name := range k.oneOf {
			properties[name] = schemaOf(k.each, name)
		}
		s["properties"], s["additionalProperties"] = properties, false
	case list:
		s["type"], s["items"] = "array", schemaOf(k.each, name)
	case text:
		s["type"] = "string"
		if k.oneOf != nil {
			s["enum"] = k.oneOf
		}
		if k.pattern != "" {
			s["pattern"] = k.pattern
		}
	case whole:
		s["type"] = "integer"
	case number:
		s["type"] = "number"
	case truth:
		s["type"] = "boolean"
	case duration:
		s["type"], s["pattern"] = "string", durationPattern
	case size:
		s["type"], s["pattern"] = []string{"string", "integer"}, sizePattern
	case patterns:
		one := map[string]any{"type": []string{"string", "number", "boolean"}}
		s["anyOf"] = []any{one, map[string]any{"type": "array", "items": one, "minItems": 1}}
	}
	if k.max != 0 && (k.kind == whole || k.kind == number) {
		s["minimum"], s["maximum"] = k.min, k.max
	}
	s["description"] = k.meaning
	if allowed := k.allowed(); allowed != "" && (k.kind == duration || k.kind == size) {
		s["description"] = k.meaning + " " + upperFirst(allowed) + "."
	}
	if k.defs != nil {
		s["default"] = k.defs
	}
	if def := k.defaultFor(name); def != "" && k.defs == nil {
		s["default"] = k.value(def)
	}
	return s
}

// value is a default of the table as JSON has it.
func (k *key) value(written string) any {
	if k.kind == whole || k.kind == number || k.kind == truth {
		return json.RawMessage(written)
	}
	return written
}
