package llm

import (
	"regexp"
	"strings"
)

// Models that think write their thoughts before the answer. Servers that do not know the form of
// the thoughts leave them in the answer: <think>…</think> and similar tags, in upper or lower case,
// sometimes without the opening tag, which is part of the prompt then.
const (
	thinkingNames = `(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|analysis|scratchpad|seed:think)`

	openingTags = `<\s*` + thinkingNames + `\s*>|\[THINK\]|◁think▷|<\|begin_of_thought\|>|<\|channel\|>\s*analysis\s*<\|message\|>`
	closingTags = `<\s*/\s*` + thinkingNames + `\s*>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>|<\|channel\|>\s*final\s*<\|message\|>`
)

var (
	thinkingTag = regexp.MustCompile(`(?is)(` + openingTags + `)|(?:` + closingTags + `)`)
	answerTag   = regexp.MustCompile(`(?is)^\s*<(answer|output|response|final|summary)>(.*?)(?:</(?:answer|output|response|final|summary)>\s*)?$`)
)

// stripThinking returns the answer without the thoughts before it, or "" if the thoughts have no
// end. It keeps such tags within the answer itself.
func stripThinking(answer string) string {
	for thought := true; thought; {
		answer, thought = cutThought(answer)
	}
	if frame := answerTag.FindStringSubmatch(answer); frame != nil {
		answer = frame[2]
	}
	return strings.TrimSpace(answer)
}

// cutThought removes the thoughts at the beginning of an answer, and reports whether there were
// any. Thoughts may mention their own tags: they end where every opened tag is closed or, if that
// never happens, at the last closing tag.
func cutThought(answer string) (rest string, thought bool) {
	begins, open, last := false, 0, -1
	for i, tag := range thinkingTag.FindAllStringSubmatchIndex(answer, -1) {
		if tag[2] >= 0 { // an opening tag
			open++
			begins = begins || i == 0 && strings.TrimSpace(answer[:tag[0]]) == ""
			continue
		}
		open--
		last = tag[1]
		if begins && open == 0 {
			return answer[last:], true
		}
	}
	switch {
	case begins && last < 0:
		return "", true
	case begins || open < 0: // the prompt contains the opening tag
		return answer[last:], true
	default:
		return answer, false
	}
}
