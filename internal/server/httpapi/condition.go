package httpapi

import (
	"regexp"
	"strings"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/pkg/document"
)

// etagPattern is an entity tag at the beginning of a list, with what separates it from
// the next one.
var etagPattern = regexp.MustCompile(`^[ \t,]*(W/)?"([!#-~]*)"[ \t]*(,|$)`)

// etagOf returns the entity tag of an original.
func etagOf(sha256 string) string { return `"` + sha256 + `"` }

// parseCondition reads If-Match and If-None-Match. A weak tag matches nothing that
// is to be replaced, and is as good as a strong one where it must not be.
func parseCondition(ifMatch, ifNoneMatch []string) (c document.Condition, err error) {
	if c.Match, err = parseETags("If-Match", ifMatch, false); err != nil {
		return c, err
	}
	c.NoneMatch, err = parseETags("If-None-Match", ifNoneMatch, true)
	return c, err
}

// parseETags returns the tags of a header, nil where it is not sent. One that is
// empty is none: who sends it has lost the tag that it was to have.
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
			return nil, fault.New(fault.BadRequest, `header %s: %q: want * or a list of ETags in double quotes, as GET .../content answers them`, header, strings.Join(values, ","))
		}
		if tag := found[2]; (weak || found[1] == "") && tag != document.AnyVersion {
			tags = append(tags, tag)
		}
		rest = strings.TrimLeft(rest[len(found[0]):], " \t,")
	}
	return tags, nil
}
