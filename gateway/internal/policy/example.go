package policy

import (
	"fmt"
	"maps"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
	"github.com/secureclaw/secureclaw/internal/config"
)

// checkExamples classifies the examples of one rule by the whole table: what a rule promises must
// hold beside all other rules. Arguments are taken as written, with no defaults and no cleaning.
// The key "domain" of an example, a name or a list of names, stands for the call's domains. An
// example of a rule for "*" is a call of a tool that has no rule of its own.
func (p *Policy) checkExamples(where string, source config.Rule) []error {
	var errs []error
	for i, example := range source.Examples {
		var want claw.Tier
		if err := want.UnmarshalText([]byte(example.Tier)); err != nil {
			errs = append(errs, fmt.Errorf("%s: examples[%d]: %w", where, i, err))
			continue
		}
		call, err := exampleCall(source.Tool, example)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: examples[%d]: %w", where, i, err))
			continue
		}
		if got := p.Classify(call); got.Tier != want {
			errs = append(errs, fmt.Errorf("%s: examples[%d] %v comes out as %s (%s), not %s", where, i, example.Args, got.Tier, got.Rule, want))
		}
	}
	return errs
}

func exampleCall(tool string, example config.Example) (Call, error) {
	call := Call{Tool: tool, Args: maps.Clone(example.Args)}
	v, ok := call.Args[domainKey]
	if !ok {
		return call, nil
	}
	delete(call.Args, domainKey)
	names, isList := v.([]any)
	if !isList {
		names = []any{v}
	}
	for _, n := range names {
		name, ok := n.(string)
		if !ok {
			return Call{}, fmt.Errorf("domain %v is not a name", n)
		}
		call.Domains = append(call.Domains, name)
	}
	return call, nil
}
