package executor

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLonely(t *testing.T) {
	const header = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\n"
	const loopback = "00000000000000000000000000000001 01 80 10 80       lo\n"
	none := ""
	for name, tc := range map[string]struct {
		route, addresses *string // nil: there is no such file
		want             string
	}{
		"loopback alone":          {new(header), new(loopback), ""},
		"no IPv6 address":         {new(header), &none, ""},
		"a kernel without IPv6":   {new(header), nil, ""},
		"a route by the loopback": {new(header + "lo\t0000007F\t00000000\t0001\n"), new(loopback), ""},
		"a way out":               {new(header + "eth0\t00000000\t010011AC\t0003\n"), new(loopback), `"eth0"`},
		"a network without a gateway, behind others": {
			new(header + "lo\t0000007F\t00000000\t0001\ndocker0\t000011AC\t00000000\t0001\n"), nil, `"docker0"`,
		},
		"IPv6 alone":           {new(header), new(loopback + "fe8000000000000000fc00fffe000001 04 40 20 80     eth0\n"), `"eth0"`},
		"nothing to be seen":   {nil, nil, "no such file"},
		"an empty table":       {&none, nil, "is empty"},
		"a table of something": {new(header), new("lo\n"), "1 columns"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range map[string]*string{"route": tc.route, "if_inet6": tc.addresses} {
				if text == nil {
					continue
				}
				if err := os.WriteFile(filepath.Join(dir, file), []byte(*text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			err := lonely(dir)
			if (err == nil) != (tc.want == "") || err != nil && !strings.Contains(err.Error(), tc.want) {
				t.Errorf("lonely = %v, want %q", err, tc.want)
			}
		})
	}
}
