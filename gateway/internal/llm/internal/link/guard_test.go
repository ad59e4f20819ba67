package link

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestErrorBodyIsReadToItsCapOnly(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, strings.Repeat("x\n\n", 1<<20)) // the client leaves in the middle
	}))
	defer s.Close()
	client := Client(time.Minute)
	defer client.CloseIdleConnections()
	resp, err := client.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if data, err := io.ReadAll(resp.Body); err != nil || len(data) != maxErrorBody {
		t.Errorf("ReadAll = %d bytes, %v; want %d", len(data), err, maxErrorBody)
	}
}
