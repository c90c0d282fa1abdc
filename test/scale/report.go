package main

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/seed-7a112592/gristmill/internal/test/standalone"
)

// report prints one line for each figure: the values by size, the ratio of the last to the first,
// and the bound.
type report struct {
	*standalone.TB // of the figure that is being measured
	figure         string
	rounds         int
	exceeded       bool // set when a bound is exceeded
	parent         *report
}

// forFigure returns a report for one figure.
func (r *report) forFigure(p *standalone.TB, figure string) *report {
	return &report{TB: p, figure: figure, rounds: r.rounds, parent: r}
}

const (
	nameWidth  = 46
	valueWidth = 10
)

func (r *report) heading(sizes []int) {
	line := strings.Repeat(" ", nameWidth+9)
	for _, n := range formatCounts(sizes) {
		line += fmt.Sprintf(" %*s", valueWidth, n)
	}
	fmt.Println(line + "   ratio   bound")
}

// printRatio prints values. The last may be at most bound times the first; 0 means no bound.
func (r *report) printRatio(name, unit string, values []float64, bound float64) {
	ratio := values[len(values)-1] / values[0]
	r.printLine(name, unit, values, fmt.Sprintf(" %7.2f", ratio), ratio, bound, "")
}

// printMax prints values that may not exceed the bound.
func (r *report) printMax(name, unit string, values []float64, bound float64) {
	r.printLine(name, unit, values, strings.Repeat(" ", 8), slices.Max(values), bound, unit)
}

// printMin prints values that may not be below the bound.
func (r *report) printMin(name, unit string, values []float64, bound float64) {
	text := row(name, unit, values) + strings.Repeat(" ", 8) + fmt.Sprintf(" ≥ %s", formatNumber(bound))
	fmt.Println(text + r.verdict(slices.Min(values) < bound))
}

func (r *report) printLine(name, unit string, values []float64, ratio string, value, bound float64, of string) {
	text := row(name, unit, values) + ratio
	if bound > 0 {
		text += strings.TrimRight(fmt.Sprintf(" ≤ %s %s", formatNumber(bound), of), " ") + r.verdict(!(value <= bound))
	}
	fmt.Println(text)
}

func (r *report) verdict(exceeded bool) string {
	if !exceeded {
		return "  OK"
	}
	r.parent.exceeded = true
	return "  OVER"
}

// note prints details for the lines that follow or precede it.
func (r *report) note(format string, args ...any) { fmt.Printf("    "+format+"\n", args...) }

func row(name, unit string, values []float64) string {
	text := fmt.Sprintf("  %-*s %-6s", nameWidth, name, unit)
	for _, v := range values {
		text += fmt.Sprintf(" %*s", valueWidth, formatNumber(v))
	}
	return text
}

// formatNumber formats a number with the significant digits only.
func formatNumber(v float64) string {
	switch {
	case v >= 100:
		return formatCount(int(v + 0.5))
	case v >= 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

// formatCount formats a number with commas.
func formatCount(n int) string {
	text := strconv.Itoa(n)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func formatCounts(numbers []int) []string {
	texts := make([]string, len(numbers))
	for i, n := range numbers {
		texts[i] = formatCount(n)
	}
	return texts
}

// quantile sorts values and returns the one that the given share of them does not exceed.
func quantile(values []float64, share float64) float64 {
	slices.Sort(values)
	return values[min(int(share*float64(len(values))), len(values)-1)]
}

// loadAverage returns the load averages of the last 1, 5 and 15 minutes.
func loadAverage() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	return strings.Join(strings.Fields(string(text))[:3], " ")
}
