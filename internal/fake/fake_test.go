package fake_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/secureclaw/secureclaw/internal/fake"
)

// judge is a test that notes its failures in place of failing.
type judge struct {
	testing.TB
	mu     sync.Mutex
	errors []string
}

func (j *judge) Errorf(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.errors = append(j.errors, fmt.Sprintf(format, args...))
}

func (j *judge) verdict() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return strings.Join(j.errors, "\n")
}

func post(t *testing.T, url, body string, header ...string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

// pixel is a PNG of one pixel, in base64.
const pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=="

func TestAnthropicIsAsStrictAsTheVendor(t *testing.T) {
	const (
		good = `{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}`
		use  = `{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"n","input":{}}]}`
		done = `{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"}]}`
	)
	with := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	image := func(mime, data string) string {
		return `{"type":"image","source":{"type":"base64","media_type":"` + mime + `","data":"` + data + `"}}`
	}
	shown := func(fields string) string {
		return with(`]}]}`, `]},`+use+`,`+strings.Replace(done, `"a"`, `"a",`+fields, 1)+`]}`)
	}
	for name, tc := range map[string]struct{ body, says string }{
		"good":                       {good, ""},
		"a whole conversation":       {with(`]}]}`, `]},`+use+`,`+done+`]}`), ""},
		"no model":                   {with(`"model":"m",`, ``), "model"},
		"no max_tokens":              {with(`"max_tokens":9,`, ``), "max_tokens"},
		"unknown field":              {with(`"stream"`, `"streem":1,"stream"`), "unknown field"},
		"something behind":           {good + "{}", "follows"},
		"no message":                 {`{"model":"m","max_tokens":9,"stream":true,"messages":[]}`, "at least one"},
		"empty text":                 {with(`"hi"`, `" "`), "non-whitespace"},
		"empty content":              {with(`[{"type":"text","text":"hi"}]`, `[]`), "non-empty"},
		"two users":                  {with(`]}]}`, `]},{"role":"user","content":[{"type":"text","text":"x"}]}]}`), "alternate"},
		"assistant first":            {with(`"user"`, `"assistant"`), "alternate"},
		"assistant last":             {with(`]}]}`, `]},{"role":"assistant","content":[{"type":"text","text":"x"}]}]}`), "end with a user"},
		"a call without a result":    {with(`]}]}`, `]},`+use+`,{"role":"user","content":[{"type":"text","text":"x"}]}]}`), "without `tool_result`"},
		"a result without a call":    {with(`[{"type":"text","text":"hi"}]`, `[{"type":"tool_result","tool_use_id":"a"}]`), "unexpected `tool_use_id`"},
		"two results for a call":     {with(`]}]}`, `]},`+use+`,{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"},{"type":"tool_result","tool_use_id":"a"}]}]}`), "unexpected"},
		"a result behind text":       {with(`]}]}`, `]},`+use+`,{"role":"user","content":[{"type":"text","text":"x"},{"type":"tool_result","tool_use_id":"a"}]}]}`), "come first"},
		"an input that is no object": {with(`]}]}`, `]},`+strings.Replace(use, `{}`, `"x"`, 1)+`,`+done+`]}`), "valid dictionary"},
		"a bad name in history":      {with(`]}]}`, `]},`+strings.Replace(use, `"n"`, `"n n"`, 1)+`,`+done+`]}`), "tool_use.name"},
		"a bad tool":                 {with(`"stream"`, `"tools":[{"name":"a b","input_schema":{"type":"object"}}],"stream"`), "should match pattern"},
		"two tools, one name":        {with(`"stream"`, `"tools":[{"name":"a","input_schema":{"type":"object"}},{"name":"a","input_schema":{"type":"object"}}],"stream"`), "unique"},
		"a schema of no object":      {with(`"stream"`, `"tools":[{"name":"a","input_schema":{"type":"array"}}],"stream"`), "'object'"},
		"five cache marks":           {with(`"stream"`, `"system":[`+strings.TrimSuffix(strings.Repeat(`{"type":"text","text":"x","cache_control":{"type":"ephemeral"}},`, 5), ",")+`],"stream"`), "maximum of 4"},
		"another kind of cache":      {with(`"stream"`, `"system":[{"type":"text","text":"x","cache_control":{"type":"forever"}}],"stream"`), "cache_control"},
		"an image from nowhere":      {with(`"type":"text","text":"hi"`, `"type":"image"`), "base64"},
		"an image":                   {with(`{"type":"text","text":"hi"}`, image("image/png", pixel)), ""},
		"an image in a result":       {shown(`"content":[{"type":"text","text":"x"},` + image("image/png", pixel) + `]`), ""},
		"an image before its text":   {shown(`"content":[` + image("image/png", pixel) + `,{"type":"text","text":"x"}]`), "behind the text"},
		"an image in an error":       {shown(`"is_error":true,"content":[` + image("image/png", pixel) + `]`), "must be type"},
		"an image of another type":   {shown(`"content":[` + image("image/jpeg", pixel) + `]`), "does not match"},
		"an image of no type":        {shown(`"content":[` + image("image/bmp", pixel) + `]`), "media_type"},
		"no base64":                  {shown(`"content":[` + image("image/png", pixel[:7]) + `]`), "base64"},
		"an image by the model":      {with(`]}]}`, `]},{"role":"assistant","content":[`+image("image/png", pixel)+`]},{"role":"user","content":[{"type":"text","text":"x"}]}]}`), "for user messages"},
	} {
		t.Run(name, func(t *testing.T) {
			j := &judge{TB: t}
			s := fake.NewAnthropic(j)
			s.Play(func(fake.Request) fake.Step { return fake.Answer{Text: "ok"} })
			status, body := post(t, s.URL+"/v1/messages", tc.body, "x-api-key", "k", "anthropic-version", "2023-06-01", "content-type", "application/json")
			got := j.verdict()
			if (status == 200) != (tc.says == "") || (got == "") != (tc.says == "") || !strings.Contains(got, tc.says) {
				t.Errorf("%d %s, and the verdict %q; want one with %q", status, body, got, tc.says)
			}
		})
	}
	for missing, says := range map[string]string{"x-api-key": "x-api-key", "anthropic-version": "anthropic-version", "content-type": "content-type"} {
		j := &judge{TB: t}
		s := fake.NewAnthropic(j)
		header := map[string]string{"x-api-key": "k", "anthropic-version": "2023-06-01", "content-type": "application/json"}
		delete(header, missing)
		var list []string
		for k, v := range header {
			list = append(list, k, v)
		}
		if status, _ := post(t, s.URL+"/v1/messages", good, list...); status != 400 || !strings.Contains(j.verdict(), says) {
			t.Errorf("without %s: %d and %q, want 400 that names it", missing, status, j.verdict())
		}
	}
}

func TestOpenAIIsAsStrictAsItsServers(t *testing.T) {
	const (
		good = `{"model":"m","max_tokens":9,"stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"system","content":"s"},{"role":"user","content":"hi"}]}`
		use  = `{"role":"assistant","content":"","tool_calls":[{"id":"a","type":"function","function":{"name":"n","arguments":"{}"}}]}`
		done = `{"role":"tool","tool_call_id":"a","content":"x"}`
	)
	with := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	image := func(url string) string { return `{"type":"image_url","image_url":{"url":"` + url + `"}}` }
	behind := func(messages ...string) string { return with(`"hi"}`, `"hi"},`+strings.Join(messages, ",")) }
	for name, tc := range map[string]struct{ body, says string }{
		"good":                      {good, ""},
		"a whole conversation":      {behind(use, done), ""},
		"results, then words":       {behind(use, done, `{"role":"user","content":"x"}`), ""},
		"unknown field":             {with(`"stream"`, `"streem":1,"stream"`), "unknown field"},
		"no usage":                  {with(`,"stream_options":{"include_usage":true}`, ``), "usage"},
		"a call without a result":   {behind(use, `{"role":"user","content":"x"}`), "without `tool_result`"},
		"a result without a call":   {behind(done), "preceding message"},
		"another id":                {behind(use, strings.Replace(done, `"a"`, `"b"`, 1)), "unexpected"},
		"arguments of no object":    {behind(strings.Replace(use, `"{}"`, `"["`, 1), done), "not a JSON object"},
		"an empty assistant":        {behind(`{"role":"assistant","content":""}`, `{"role":"user","content":"x"}`), "without content"},
		"system in the middle":      {behind(`{"role":"system","content":"x"}`), "in the middle"},
		"a bad tool":                {with(`"stream"`, `"tools":[{"type":"function","function":{"name":"a b","parameters":{"type":"object"}}}],"stream"`), "function.name"},
		"content that is not there": {with(`"hi"`, `null`), "got null"},
		"a picture behind a result": {behind(use, done, `{"role":"user","content":[{"type":"text","text":"x"},`+image("data:image/png;base64,"+pixel)+`]}`), ""},
		"a picture in a result":     {behind(use, strings.Replace(done, `"x"`, `[`+image("data:image/png;base64,"+pixel)+`]`, 1)), "role 'user'"},
		"a picture from elsewhere":  {with(`"hi"`, `[`+image("https://example.com/a.png")+`]`), "loads nothing from elsewhere"},
		"a picture of another type": {with(`"hi"`, `[`+image("data:image/jpeg;base64,"+pixel)+`]`), "does not match"},
		"parts without a picture":   {with(`"hi"`, `[{"type":"text","text":"hi"}]`), "only where there is a picture"},
		"a part that nobody knows":  {with(`"hi"`, `[{"type":"video"}]`), "video"},
	} {
		t.Run(name, func(t *testing.T) {
			j := &judge{TB: t}
			s := fake.NewOpenAI(j)
			s.Play(func(fake.Request) fake.Step { return fake.Answer{Text: "ok"} })
			status, body := post(t, s.URL+"/v1/chat/completions", tc.body, "content-type", "application/json", "authorization", "Bearer k")
			got := j.verdict()
			if (status == 200) != (tc.says == "") || (got == "") != (tc.says == "") || !strings.Contains(got, tc.says) {
				t.Errorf("%d %s, and the verdict %q; want one with %q", status, body, got, tc.says)
			}
		})
	}
}

// A hostile model is a function of what it is asked.
func TestPlay(t *testing.T) {
	s := fake.NewAnthropic(t)
	s.Script(fake.Fault{Status: 529})
	s.Play(func(r fake.Request) fake.Step {
		return fake.Answer{Text: "you said " + r.Turns[len(r.Turns)-1].Text}
	})
	for _, want := range []string{"overloaded_error", `you said hi`} {
		_, body := post(t, s.URL+"/v1/messages", `{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}`,
			"x-api-key", "k", "anthropic-version", "2023-06-01", "content-type", "application/json")
		if !strings.Contains(body, want) {
			t.Errorf("answer %q, want %q", body, want)
		}
	}
	j := &judge{TB: t}
	over := fake.NewAnthropic(j)
	post(t, over.URL+"/v1/messages", `{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":[{"type":"text","text":"hi"}]}]}`,
		"x-api-key", "k", "anthropic-version", "2023-06-01", "content-type", "application/json")
	if !strings.Contains(j.verdict(), "script is over") {
		t.Errorf("a request past the script's end: %q, want a failure", j.verdict())
	}
}
