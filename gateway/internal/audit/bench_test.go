package audit

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

func sampleRecord() Record {
	return Record{Kind: KindIntent, Session: "s-01JD8W", Run: "r-01JD8W7Z", Call: "c-01JD8W7Z9K", Fields: map[string]any{
		"tool": "run_shell_command", "tier": "ask", "input": map[string]any{"command": "ls -la /workspace", "timeout_seconds": 30},
	}}
}

func benchmarkAppend(b *testing.B, writers int) {
	dir := filepath.Join(b.TempDir(), "audit")
	l := opened(b, dir, Options{Redact: []string{"sk-ant-0123456789abcdef", "ghp_abcdef0123456789"}})
	r := sampleRecord()
	b.ResetTimer()
	var wg sync.WaitGroup
	for i := range writers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := i; n < b.N; n += writers {
				if _, err := l.Append(context.Background(), r); err != nil {
					b.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}

func BenchmarkAppend64(b *testing.B) { benchmarkAppend(b, 64) }
func BenchmarkAppend1(b *testing.B)  { benchmarkAppend(b, 1) }

// benchmarkRaw is the floor: the same bytes, written and synced in groups, and nothing else.
func benchmarkRaw(b *testing.B, group int) {
	f, err := openFile(filepath.Join(b.TempDir(), "raw"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	buf := make([]byte, group*320)
	b.ResetTimer()
	for n := 0; n < b.N; n += group {
		if _, err := f.Write(buf); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}

func BenchmarkRaw64(b *testing.B) { benchmarkRaw(b, 64) }
func BenchmarkRaw1(b *testing.B)  { benchmarkRaw(b, 1) }

func BenchmarkEncode(b *testing.B) {
	secrets := newRedactor([]string{"sk-ant-0123456789abcdef", "ghp_abcdef0123456789"})
	r := sampleRecord()
	for b.Loop() {
		if _, err := encodeFields(r.Fields, secrets, true); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	const n = 200_000
	dir := filepath.Join(b.TempDir(), "audit")
	l := opened(b, dir, Options{})
	var wg sync.WaitGroup
	for range 64 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for range n / 64 {
				if _, err := l.Append(context.Background(), sampleRecord()); err != nil {
					b.Error(err)
					return
				}
			}
		}()
	}
	wg.Wait()
	closed(b, l)
	b.ResetTimer()
	var total uint64
	for range b.N {
		r, err := Verify(b.Context(), dir, testPub(), VerifyOptions{})
		if err != nil {
			b.Fatal(err)
		}
		total += r.Entries
	}
	b.StopTimer()
	b.ReportMetric(float64(total)/b.Elapsed().Seconds(), "entries/s")
}
