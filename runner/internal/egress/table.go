package egress

import (
	"net/netip"
	"strings"

	"github.com/secureclaw/secureclaw/internal/domain"
)

// blocks reads a table of ranges and codes. It is only given constants, so a mistake ends the program
// before it serves anybody.
func blocks(table string) []block {
	fields := strings.Fields(table)
	list := make([]block, 0, len(fields)/2)
	for i := 0; i < len(fields); i += 2 {
		list = append(list, block{netip.MustParsePrefix(fields[i]).Masked(), domain.Code(fields[i+1])})
	}
	return list
}

// codesOf is the set of the tables' codes and of those that are computed.
func codesOf(tables ...[]block) map[domain.Code]struct{} {
	set := map[domain.Code]struct{}{codeNotGlobal: {}, codeISATAP: {}, codeZone: {}, codeNoAddress: {}, codeSelf: {}}
	for _, table := range tables {
		for _, b := range table {
			set[b.code] = struct{}{}
		}
	}
	return set
}
