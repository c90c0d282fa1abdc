package llm

import (
	"regexp"
	"strings"
)

// What lines of markdown look like that are not prose, and the marks within
// lines that are. This is a reader for summaries only, which may be wrong now
// and then: whatever depends on borders uses package markdown.
var (
	fenceLine   = regexp.MustCompile("^(```+|~~~+)")
	noiseLine   = regexp.MustCompile(`^(#{1,6}(\s|$)|\||<[/!a-zA-Z]|:::|\[[^\]]+\]:|\[![A-Z]+\]$|[-=*_:|\s]+$)`)
	listMarker  = regexp.MustCompile(`^([-*+]|\d{1,9}[.)])\s+(\[[ xX]\]\s+)?`)
	quoteMarker = regexp.MustCompile(`^(>\s?)+`)

	image    = regexp.MustCompile(`!\[[^\]]*\]\([^)]*\)`)
	link     = regexp.MustCompile(`\[([^\]]*)\](\([^)]*\)|\[[^\]]*\])`)
	span     = regexp.MustCompile("`+([^`]+)`+|</?[a-zA-Z][^<>]*>|\\{(?:#|/\\*)[^}]*\\}") // code, tags, anchors
	emphasis = regexp.MustCompile(`\b_([^_]+)_\b`)
	marker   = regexp.MustCompile("[*`~]+|\\\\([!-/:-@\\[-`{-~])")
)

// prose returns the paragraphs of running text in a piece of markdown, without
// markup, each on one line.
func prose(markdown string) []string {
	var paragraphs []string
	var current []string
	end := func() {
		if len(current) > 0 {
			paragraphs = append(paragraphs, strings.Join(current, " "))
			current = nil
		}
	}
	fence := "" // what closes the fenced block that we are in
	inList := false
	for line := range strings.Lines(markdown) {
		indented := strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "\t")
		line = strings.TrimSpace(line)
		line = quoteMarker.ReplaceAllString(line, "")
		switch {
		case fence != "":
			if strings.HasPrefix(line, fence) {
				fence = ""
			}
			continue
		case fenceLine.MatchString(line):
			fence = fenceLine.FindString(line)
			end()
			continue
		case line == "" || noiseLine.MatchString(line):
			end()
			continue
		case indented && len(current) == 0 && !inList:
			continue // indented code
		}
		if text := listMarker.ReplaceAllString(line, ""); text != line {
			end()
			inList, line = true, text
		} else if !indented && len(current) == 0 {
			inList = false
		}
		if line = plain(line); line != "" {
			current = append(current, line)
		}
	}
	end()
	return paragraphs
}

// plain removes the markup within a line.
func plain(line string) string {
	line = image.ReplaceAllString(line, "")
	line = link.ReplaceAllString(line, "$1")
	line = span.ReplaceAllString(line, "$1")
	line = emphasis.ReplaceAllString(line, "$1")
	line = marker.ReplaceAllString(line, "$1")
	return strings.Join(strings.Fields(line), " ")
}

// anyText returns what text there is in markdown without prose: code and
// tables, without their frames, as one paragraph.
func anyText(markdown string) string {
	var lines []string
	for line := range strings.Lines(markdown) {
		line = strings.Trim(line, " \t\r\n|`~#-=")
		if line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, " ")
}
