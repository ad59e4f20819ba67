package main

import (
	"slices"
	"time"
)

// spread is a distribution by its quantiles; without values it is zero.
type spread struct {
	P50 float64 `json:"p50"`
	P95 float64 `json:"p95"`
	P99 float64 `json:"p99"`
}

// quantiles sorts values in place.
func quantiles(values []float64) spread {
	if len(values) == 0 {
		return spread{}
	}
	slices.Sort(values)
	at := func(q float64) float64 { return values[min(len(values)-1, int(q*float64(len(values))))] }
	return spread{at(0.5), at(0.95), at(0.99)}
}

// median is that of the values, 0 without any.
func median(values []float64) float64 { return quantiles(slices.Clone(values)).P50 }

// ratio is the median over pairs that were measured in turn of one time by the other; 0 when a pair is missing.
func ratio(of, by []float64) float64 {
	if len(of) != len(by) {
		return 0
	}
	var all []float64
	for i := range of {
		if by[i] > 0 {
			all = append(all, of[i]/by[i])
		}
	}
	return median(all)
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
