package memory

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/secureclaw/secureclaw/gateway/internal/claw"
)

// This file finds and ranks. To score every memory that has a word takes as long as the word is common:
// 60 ms for one that stands in half of 100,000. So there are three steps, each bounded:
//
//	probe    for each term, the newest few memories that have it: all of them, if it is rare
//	cross    for terms that are not rare, the newest memories that have two or all of them
//	rank     what was found, by bm25, what was said lately and what was used lately
//
// A memory that a query is about has a rare word of it, or two that are not so rare, or is new.

const (
	maxQueryBytes = 16 << 10
	maxQueryTerms = 32
	probeBudget   = 960  // places that all probes of a query return together, about
	minProbe      = 32   // of one
	maxProbe      = 240  // of one
	crossSteps    = 2500 // places of the rarer term that one crossing walks past, about
	maxCandidates = 128
)

// search is what is looked for.
type search struct {
	text     string
	category string // any, if it is empty
	limit    int
	relevant bool // only what clearly has to do with the text
	whole    bool // words count only as they are, and not as heads of others
}

// probe is what is known of one term of a query.
type probe struct {
	term   string
	places []int64
	all    bool    // the places are all there are
	df     float64 // in how many memories it stands, about
	weight float64
}

// scored is a candidate with its rank.
type scored struct {
	Lead
	score float64
}

// find returns the best first.
func (m *Memory) find(ctx context.Context, owner string, s search) ([]claw.Memory, error) {
	scope, err := m.o.Store.MemoryScope(ctx, owner)
	if err != nil || scope.Count == 0 {
		return nil, err
	}
	terms, runs := queryTerms(s.text, s.relevant)
	if len(terms) == 0 {
		return nil, nil
	}
	if s.whole {
		terms = longest(terms, maxSameTerms)
	}
	var with []string
	if s.category != "" {
		with = []string{categoryTerm(s.category)}
	}
	in := m.index(ctx, owner, scope)
	probes, err := probeAll(ctx, in, scope, terms, with, s.relevant)
	if err != nil {
		return nil, err
	}
	weights := map[int64]float64{}
	for _, p := range probes {
		for _, place := range p.places {
			weights[place] += p.weight
		}
	}
	if err := cross(ctx, in, scope, probes, with, weights); err != nil {
		return nil, err
	}
	if !s.relevant && !s.whole && len(weights) < s.limit {
		if err := heads(ctx, in, scope, terms, with, s.limit, weights); err != nil {
			return nil, err
		}
	}
	places := slices.SortedFunc(maps.Keys(weights), func(a, b int64) int {
		return cmp.Or(cmp.Compare(weights[b], weights[a]), cmp.Compare(b, a))
	})
	leads, err := in.MemoryLeads(ctx, places[:min(len(places), maxCandidates)])
	if err != nil {
		return nil, err
	}
	ranked := rank(leads, probes, s.relevant, m.o.Now())
	ids := make([]int64, 0, s.limit)
	for _, c := range ranked {
		if len(ids) == s.limit && len(runs) == 0 || len(ids) >= 4*s.limit {
			break
		}
		ids = append(ids, c.ID)
	}
	found, err := m.o.Store.MemoriesByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	// A row of another would be an error of the store; that it is not shown must not hang on that.
	found = slices.DeleteFunc(found, func(mem claw.Memory) bool { return mem.Owner != owner })
	found = wholeFirst(found, runs)
	return found[:min(len(found), s.limit)], nil
}

// about returns the newest memories that have all the words of a topic, or at least words that begin like its last one.
func (m *Memory) about(ctx context.Context, owner, topic string, limit int) ([]claw.Memory, error) {
	scope, err := m.o.Store.MemoryScope(ctx, owner)
	if err != nil || scope.Count == 0 {
		return nil, err
	}
	terms, runs := queryTerms(topic, false)
	if len(terms) == 0 {
		return nil, nil
	}
	var places []int64
	for _, head := range []bool{false, true} {
		last := terms[len(terms)-1]
		if head && utf8.RuneCountInString(last) < 3 {
			break
		}
		if places, err = m.o.Store.MemoryPlaces(ctx, terms, head, scope.First, scope.Last, 4*limit); err != nil || len(places) > 0 {
			break
		}
	}
	if err != nil || len(places) == 0 {
		return nil, err
	}
	leads, err := m.o.Store.MemoryLeads(ctx, places)
	if err != nil {
		return nil, err
	}
	ids := make([]int64, len(leads))
	for i, l := range leads {
		ids[i] = l.ID
	}
	found, err := m.o.Store.MemoriesByID(ctx, ids)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(mem claw.Memory) bool {
		if mem.Owner != owner {
			return true
		}
		text := fold(mem.Content + "\n" + strings.Join(mem.Tags, "\n"))
		return slices.ContainsFunc(runs, func(run string) bool { return !strings.Contains(text, run) })
	})
	return found[:min(len(found), limit)], nil
}

// queryTerms are the terms of a query, each once, and its unspaced runs. Words that tell nothing count only
// where there are no others, and not at all for what is to be relevant.
func queryTerms(text string, relevant bool) (terms, runs []string) {
	text = text[:min(len(text), maxQueryBytes)]
	var stops []string
	for _, t := range tokens(text, 8*maxQueryTerms) {
		if n := utf8.RuneCountInString(t.run); n > 2 {
			runs = append(runs, t.run)
		}
		switch {
		case t.piece && utf8.RuneCountInString(t.term) == 1 && (t.run == "" || utf8.RuneCountInString(t.run) > 1):
			// The pairs of the run say it better.
		case slices.Contains(terms, t.term) || slices.Contains(stops, t.term):
		case isStop(t.term):
			stops = append(stops, t.term)
		case len(terms) < maxQueryTerms:
			terms = append(terms, t.term)
		}
	}
	if len(terms) == 0 && !relevant {
		terms = stops[:min(len(stops), maxQueryTerms)]
	}
	return terms, runs
}

// maxSameTerms is how many words of a text are looked up to find what says the same: most of its words are
// in that too, and long ones are rare.
const maxSameTerms = 8

// longest are the n longest terms, in their order.
func longest(terms []string, n int) []string {
	if len(terms) <= n {
		return terms
	}
	by := slices.Clone(terms)
	slices.SortStableFunc(by, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return slices.DeleteFunc(slices.Clone(terms), func(t string) bool { return !slices.Contains(by[:n], t) })
}

func isNumber(term string) bool {
	return !strings.ContainsFunc(term, func(r rune) bool { return !unicode.IsDigit(r) })
}

// probeAll looks up each term.
func probeAll(ctx context.Context, in index, scope Scope, terms, with []string, relevant bool) ([]probe, error) {
	limit := min(max(probeBudget/len(terms), minProbe), maxProbe)
	probes := make([]probe, len(terms))
	err := sideBySide(len(terms), func(i int) error {
		places, err := in.MemoryPlaces(ctx, append([]string{terms[i]}, with...), false, scope.First, scope.Last, limit)
		if err != nil {
			return err
		}
		p := probe{term: terms[i], places: places, all: len(places) < limit, df: float64(len(places))}
		if !p.all {
			span := float64(scope.Last - places[len(places)-1] + 1)
			p.df = min(p.df*float64(scope.Last-scope.First+1)/span, float64(scope.Count))
		}
		// In a small store every word is rare; as if there were a thousand.
		n := math.Max(float64(scope.Count), 1000)
		p.weight = math.Log(1 + (n-p.df+0.5)/(p.df+0.5))
		if relevant && isNumber(terms[i]) {
			p.weight *= 0.3 // "sleep 25" is not about whatever else was 25
		}
		probes[i] = p
		return nil
	})
	return probes, err
}

// sideBySide does n things on two goroutines, and returns an error of one of them. One thing of a search takes
// the index some 80 µs; more goroutines would take turns for its connections and for what else goes on.
func sideBySide(n int, do func(i int) error) error {
	var next atomic.Int64
	var failed [2]error
	work := func(who int) {
		for i := int(next.Add(1)) - 1; i < n && failed[who] == nil; i = int(next.Add(1)) - 1 {
			failed[who] = do(i)
		}
	}
	var other sync.WaitGroup
	if n > 1 {
		other.Go(func() { work(1) })
	}
	work(0)
	other.Wait()
	return errors.Join(failed[:]...)
}

// cross adds what has several terms of which none is rare. How far back it looks depends on how common the
// rarer one is: a word that stands in every thirtieth memory is looked for among all of 75,000.
func cross(ctx context.Context, in index, scope Scope, probes []probe, with []string, weights map[int64]float64) error {
	var common []probe
	for _, p := range probes {
		if !p.all {
			common = append(common, p)
		}
	}
	slices.SortStableFunc(common, func(a, b probe) int { return cmp.Compare(a.df, b.df) })
	var sets [][]probe
	if n := len(common); n > 2 && n <= 6 && n == len(probes) {
		sets = append(sets, common)
	}
	for i := range min(len(common), 3) {
		for j := i + 1; j < min(len(common), 3); j++ {
			sets = append(sets, []probe{common[i], common[j]})
		}
	}
	found := make([][]int64, len(sets))
	sums := make([]float64, len(sets))
	err := sideBySide(len(sets), func(i int) (err error) {
		terms := slices.Clone(with)
		for _, p := range sets[i] {
			terms = append(terms, p.term)
			sums[i] += p.weight
		}
		every := float64(scope.Last-scope.First+1) / sets[i][0].df
		from := max(scope.First, scope.Last-int64(crossSteps*every))
		found[i], err = in.MemoryPlaces(ctx, terms, false, from, scope.Last, minProbe)
		return err
	})
	for i, places := range found {
		for _, place := range places {
			weights[place] = max(weights[place], sums[i])
		}
	}
	return err
}

// heads adds memories with words that begin like those of the query, for want of better ones. The index has the
// heads of three letters and of four; to gather all words behind a longer one takes 20 ms if one of them is
// common. Of such a one the newest that begin with four of its letters are looked at.
func heads(ctx context.Context, in index, scope Scope, terms, with []string, limit int, weights map[int64]float64) error {
	for _, term := range terms[:min(len(terms), 4)] {
		head, most := []rune(term), limit
		if len(head) < 3 {
			continue
		}
		if len(head) > indexedHead {
			head, most = head[:indexedHead], maxCandidates
		}
		places, err := in.MemoryPlaces(ctx, append(slices.Clone(with), string(head)), true, scope.First, scope.Last, most)
		if err != nil {
			return err
		}
		if string(head) != term {
			leads, err := in.MemoryLeads(ctx, places)
			if err != nil {
				return err
			}
			places = places[:0]
			for _, lead := range leads {
				if len(places) < limit && strings.Contains(" "+lead.Terms, " "+term) {
					places = append(places, lead.Place)
				}
			}
		}
		for _, place := range places {
			if weights[place] == 0 {
				weights[place] = 0.1
			}
		}
	}
	return nil
}

// indexedHead is how many letters the longest heads of words have that the index has.
const indexedHead = 4

// What the ranking is made of: bm25 as usual for short texts, at most a third more for what was said
// lately, and a tenth for what was used lately.
const (
	k1, b       = 1.2, 0.4
	usualTerms  = 16
	recent      = 0.3
	recentlyRan = 0.1
	halfLife    = 30 * 24 * time.Hour
	// minWeight is what the matching terms of a relevant memory weigh: one that stands in at most three of
	// a hundred, or two of fifteen.
	minWeight = 3.5
)

// rank scores candidates. relevant leaves out what shares too little with the query, or far less than the best.
func rank(leads []Lead, probes []probe, relevant bool, now time.Time) []scored {
	index := make(map[string]int, len(probes))
	total := 0.0
	for i, p := range probes {
		index[p.term] = i
		total += p.weight
	}
	out := make([]scored, 0, len(leads))
	counts := make([]float64, len(probes))
	for _, lead := range leads {
		clear(counts)
		length, before, close := 0.0, -2, 0.0
		for term := range strings.SplitSeq(lead.Terms, " ") {
			length++
			i, ok := index[term]
			if !ok {
				if before >= 0 {
					before = -2
				}
				continue
			}
			counts[i]++
			if i == before+1 {
				close += 0.3 * min(probes[i].weight, probes[before].weight)
			}
			before = i
		}
		score, matched := close, 0.0
		for i, n := range counts {
			if n > 0 {
				matched += probes[i].weight
				score += probes[i].weight * n * (k1 + 1) / (n + k1*(1-b+b*length/usualTerms))
			}
		}
		if relevant && matched < max(minWeight, 0.15*total) {
			continue
		}
		score *= 1 + recent*fade(now.Sub(lead.Changed)) + recentlyRan*fade(now.Sub(lead.Used))
		out = append(out, scored{lead, score})
	}
	slices.SortFunc(out, byScore)
	if relevant && len(out) > 0 {
		least := 0.4 * out[0].score
		out = slices.DeleteFunc(out, func(c scored) bool { return c.score < least })
	}
	return out
}

// fade is 1 for now and half of it each half-life before.
func fade(age time.Duration) float64 { return math.Exp2(-float64(max(age, 0)) / float64(halfLife)) }

// wholeFirst puts first what has the unspaced runs of a query as they are, and not only their pairs.
func wholeFirst(found []claw.Memory, runs []string) []claw.Memory {
	if len(runs) == 0 {
		return found
	}
	var whole, rest []claw.Memory
	for _, mem := range found {
		text := fold(mem.Content + "\n" + strings.Join(mem.Tags, "\n"))
		if slices.ContainsFunc(runs, func(run string) bool { return !strings.Contains(text, run) }) {
			rest = append(rest, mem)
		} else {
			whole = append(whole, mem)
		}
	}
	return append(whole, rest...)
}
