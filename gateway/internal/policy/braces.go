package policy

// maxAlternatives is how many globs without braces one with braces may stand for.
const maxAlternatives = 4096

// alternatives writes out the braces of a valid glob: "a{b,c}*{,/**}" is "ab*", "ab*/**", "ac*" and
// "ac*/**". It is done here and not left to the matcher, which does not see that "*" may be nothing
// before a brace that may be nothing: to it, "*token*{,/**}" is not the name "token". The answer is
// nil for more than [maxAlternatives].
func alternatives(glob string) []string {
	open, shut, commas := firstBrace(glob)
	if open < 0 {
		return []string{glob}
	}
	tails := alternatives(glob[shut+1:])
	var out []string
	from := open + 1
	for _, to := range append(commas, shut) {
		for _, middle := range alternatives(glob[from:to]) {
			for _, tail := range tails {
				if len(out) == maxAlternatives {
					return nil
				}
				out = append(out, glob[:open]+middle+tail)
			}
		}
		from = to + 1
	}
	return out
}

// firstBrace returns where the first brace opens and shuts, and the commas that part it; open is -1
// when there is none. What is escaped or stands in a class is text.
func firstBrace(glob string) (open, shut int, commas []int) {
	open = -1
	depth, class := 0, false
	for i := 0; i < len(glob); i++ {
		switch c := glob[i]; {
		case c == '\\':
			i++
		case class:
			class = c != ']'
		case c == '[':
			class = true
		case c == '{':
			if depth++; depth == 1 {
				open = i
			}
		case c == '}' && depth > 0:
			if depth--; depth == 0 {
				return open, i, commas
			}
		case c == ',' && depth == 1:
			commas = append(commas, i)
		}
	}
	return -1, 0, nil
}
