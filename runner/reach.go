package runner

import (
	"fmt"
	"slices"

	"github.com/secureclaw/secureclaw/internal/capability"
	"github.com/secureclaw/secureclaw/internal/config"
	"github.com/secureclaw/secureclaw/internal/domain"
	"github.com/secureclaw/secureclaw/internal/run"
	"github.com/secureclaw/secureclaw/internal/strict"
)

// reachable is what the browser of a web call may reach: the names of its token, each of which must
// be the host of the call's own URL or what our reading of the configuration adds for that host. So
// neither a gateway that was taken over nor an old configuration of its opens another name.
func reachable(cfg *config.Config, claims capability.Claims, task run.Task) (domain.List, *run.Refusal) {
	var in run.Browse
	if err := strict.Decode(task.Input, &in); err != nil {
		return nil, refuseTask("its input cannot be read: %.200v", err)
	}
	page, err := domain.ParseURL(in.URL)
	switch {
	case err != nil:
		return nil, refuseDomain(fmt.Sprintf("the page cannot be opened: %.200v", err))
	case page.Text != in.URL:
		// What was judged and shown is the one form; a browser would mend any other in its own way.
		return nil, refuseTask("its URL is not in its one form, which is %.200q", page.Text)
	case len(claims.Domains) == 0:
		return nil, refuseDomain("the token names no domain")
	}
	names, err := domain.ParseList(claims.Domains)
	if err != nil {
		return nil, refuseDomain(fmt.Sprintf("the token's domain %.200v", err))
	}
	may, _ := cfg.Reach(page.Host)
	for _, name := range claims.Domains {
		if name != string(page.Host) && !slices.Contains(may, name) {
			return nil, refuseDomain(fmt.Sprintf("%.80q is not the host of the page, %s, and secureclaw.yaml adds nothing of that name for it", name, page.Host))
		}
	}
	return names, nil
}

func refuseDomain(why string) *run.Refusal {
	return &run.Refusal{
		Code: codeDomain,
		What: "The call may not reach what it asks for, so nothing ran.",
		Why:  "Reason: " + why + ".",
		Fix:  "Open a page by its own https URL; its parts come from trustedDomains (with) and executors.web.domains, which gateway and runner must read from the same secureclaw.yaml.",
	}
}
