package httpapi

import (
	"regexp"
	"strings"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// etagPattern matches the first entity tag of a list, with its separators.
var etagPattern = regexp.MustCompile(`^[ \t,]*(W/)?"([!#-~]*)"[ \t]*(,|$)`)

// etagOf returns the entity tag of an original with the given hash.
func etagOf(sha256 string) string { return `"` + sha256 + `"` }

// parseCondition parses If-Match and If-None-Match. As RFC 9110 says, a weak tag never satisfies
// If-Match, and counts as a strong one in If-None-Match.
func parseCondition(ifMatch, ifNoneMatch []string) (c document.Condition, err error) {
	if c.Match, err = parseETags("If-Match", ifMatch, false); err != nil {
		return c, err
	}
	c.NoneMatch, err = parseETags("If-None-Match", ifNoneMatch, true)
	return c, err
}

// parseETags returns the tags of a header, nil if the request does not have the header. An empty
// header is an error: its sender has lost the tag. Tags with W/ are left out unless weak is true.
func parseETags(header string, values []string, weak bool) ([]string, error) {
	if len(values) == 0 {
		return nil, nil
	}
	rest := strings.TrimSpace(strings.Join(values, ","))
	if rest == "*" {
		return []string{document.AnyVersion}, nil
	}
	tags := []string{}
	for first := true; first || rest != ""; first = false {
		found := etagPattern.FindStringSubmatch(rest)
		if found == nil {
			return nil, fault.New(fault.BadRequest, `header %s: %q: want * or a list of ETags in double quotes, such as GET .../content returns`, header, strings.Join(values, ","))
		}
		if tag := found[2]; (weak || found[1] == "") && tag != document.AnyVersion {
			tags = append(tags, tag)
		}
		rest = strings.TrimLeft(rest[len(found[0]):], " \t,")
	}
	return tags, nil
}
