package openai_test

import (
	"strings"
	"testing"

	"github.com/secureclaw/secureclaw/internal/fake"
)

// BenchmarkAsk measures a whole answer over a real socket, 1,000 deltas of about one token each, the
// fake's own work included.
func BenchmarkAsk(b *testing.B) {
	s := fake.NewOpenAI(b)
	s.Play(func(fake.Request) fake.Step {
		return fake.Answer{Text: strings.Repeat("word ", 1000), Chunks: []int{5}, Writes: []int{64 << 10}}
	})
	m := model(b, s, nil)
	for b.Loop() {
		if _, err := m.Ask(b.Context(), question(), func(string) {}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/token")
}
