package llm

import (
	"regexp"
	"strings"
)

// The patterns match lines of markdown that are not prose, and the markup within lines that are.
// They are for summaries only, where an occasional error is acceptable; code that needs exact
// borders uses package markdown.
var (
	fencePattern       = regexp.MustCompile("^(```+|~~~+)")
	noProsePattern     = regexp.MustCompile(`^(#{1,6}(\s|$)|\||<[/!a-zA-Z]|:::|\[[^\]]+\]:|\[![A-Z]+\]$|[-=*_:|\s]+$)`)
	listMarkerPattern  = regexp.MustCompile(`^([-*+]|\d{1,9}[.)])\s+(\[[ xX]\]\s+)?`)
	quoteMarkerPattern = regexp.MustCompile(`^(>\s?)+`)

	imagePattern    = regexp.MustCompile(`!\[[^\]]*\]\([^)]*\)`)
	linkPattern     = regexp.MustCompile(`\[([^\]]*)\](\([^)]*\)|\[[^\]]*\])`)
	spanPattern     = regexp.MustCompile("`+([^`]+)`+|</?[a-zA-Z][^<>]*>|\\{(?:#|/\\*)[^}]*\\}") // code, tags, anchors
	emphasisPattern = regexp.MustCompile(`\b_([^_]+)_\b`)
	markPattern     = regexp.MustCompile("[*`~]+|\\\\([!-/:-@\\[-`{-~])")
)

// proseParagraphs returns the paragraphs of running text in a piece of markdown, without markup,
// each on one line.
func proseParagraphs(markdown string) []string {
	var paragraphs []string
	var current []string
	end := func() {
		if len(current) > 0 {
			paragraphs = append(paragraphs, strings.Join(current, " "))
			current = nil
		}
	}
	fence := "" // what closes the current fenced block
	inList := false
	for line := range strings.Lines(markdown) {
		indented := strings.HasPrefix(line, "    ") || strings.HasPrefix(line, "\t")
		line = strings.TrimSpace(line)
		line = quoteMarkerPattern.ReplaceAllString(line, "")
		switch {
		case fence != "":
			if strings.HasPrefix(line, fence) {
				fence = ""
			}
			continue
		case fencePattern.MatchString(line):
			fence = fencePattern.FindString(line)
			end()
			continue
		case line == "" || noProsePattern.MatchString(line):
			end()
			continue
		case indented && len(current) == 0 && !inList:
			continue // indented code
		}
		if text := listMarkerPattern.ReplaceAllString(line, ""); text != line {
			end()
			inList, line = true, text
		} else if !indented && len(current) == 0 {
			inList = false
		}
		if line = stripMarkup(line); line != "" {
			current = append(current, line)
		}
	}
	end()
	return paragraphs
}

// stripMarkup removes the markup within a line.
func stripMarkup(line string) string {
	line = imagePattern.ReplaceAllString(line, "")
	line = linkPattern.ReplaceAllString(line, "$1")
	line = spanPattern.ReplaceAllString(line, "$1")
	line = emphasisPattern.ReplaceAllString(line, "$1")
	line = markPattern.ReplaceAllString(line, "$1")
	return strings.Join(strings.Fields(line), " ")
}

// textWithoutProse returns the text of markdown without prose: code and tables, without their
// frames, as one paragraph.
func textWithoutProse(markdown string) string {
	var lines []string
	for line := range strings.Lines(markdown) {
		line = strings.Trim(line, " \t\r\n|`~#-=")
		if line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, " ")
}
