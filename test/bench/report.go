package main

import (
	"fmt"
	"slices"
	"strings"
)

// boundKind says whether a bound is a minimum or a maximum.
type boundKind int

const (
	boundNone boundKind = iota
	boundMin
	boundMax
)

// result is one line of the report.
type result struct {
	name      string
	value     float64
	unit      string
	boundKind boundKind
	bound     float64
}

// report prints a result and, if it has a bound, its ratio to the bound.
func (b *bench) report(r result) {
	line := fmt.Sprintf("  %-46s %9s %-10s", r.name, formatNumber(r.value), r.unit)
	if r.boundKind != boundNone {
		sign, good := "≥", r.value >= r.bound
		if r.boundKind == boundMax {
			sign, good = "≤", r.value <= r.bound
		}
		verdict := "ok"
		if !good {
			verdict = "MISSED"
			*b.boundMissed = true
		}
		line += fmt.Sprintf(" %s %-7s ratio %4.2f  %s", sign, formatNumber(r.bound), r.value/r.bound, verdict)
	}
	fmt.Println(strings.TrimRight(line, " "))
}

// note prints details for the results that follow or precede it.
func (b *bench) note(format string, args ...any) {
	fmt.Printf("    "+format+"\n", args...)
}

// formatNumber formats a number with the significant digits only.
func formatNumber(v float64) string {
	switch {
	case v >= 100:
		return fmt.Sprintf("%.0f", v)
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// median sorts values and returns the middle one.
func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// formatList prints values as a list.
func formatList(values []float64) string {
	words := make([]string, len(values))
	for i, v := range values {
		words[i] = formatNumber(v)
	}
	return strings.Join(words, ", ")
}
