package llm

import (
	"regexp"
	"strings"
)

// Models that think write down their thoughts before the answer, and servers
// that do not know their form leave them in it: <think>…</think> and the like,
// in any case, sometimes without the opening tag, which the prompt had already.
const (
	thinkingNames = `(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|analysis|scratchpad|seed:think)`

	openingTags = `<\s*` + thinkingNames + `\s*>|\[THINK\]|◁think▷|<\|begin_of_thought\|>|<\|channel\|>\s*analysis\s*<\|message\|>`
	closingTags = `<\s*/\s*` + thinkingNames + `\s*>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>|<\|channel\|>\s*final\s*<\|message\|>`
)

var (
	thinkingTag = regexp.MustCompile(`(?is)(` + openingTags + `)|(?:` + closingTags + `)`)
	answerTag   = regexp.MustCompile(`(?is)^\s*<(answer|output|response|final|summary)>(.*?)(?:</(?:answer|output|response|final|summary)>\s*)?$`)
)

// stripThinking returns what a model answered after it had thought: nothing
// while its thoughts had no end. Such tags in the answer itself stay.
func stripThinking(answer string) string {
	for thought := true; thought; {
		answer, thought = cutThought(answer)
	}
	if frame := answerTag.FindStringSubmatch(answer); frame != nil {
		answer = frame[2]
	}
	return strings.TrimSpace(answer)
}

// cutThought returns what follows the thoughts that an answer begins with, if
// it does. Thoughts may name their own tags: they end where each tag that was
// opened is closed, or at the last end where that never is.
func cutThought(answer string) (rest string, thought bool) {
	begins, open, last := false, 0, -1
	for i, tag := range thinkingTag.FindAllStringSubmatchIndex(answer, -1) {
		if tag[2] >= 0 { // an opening one
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
	case begins || open < 0: // the prompt had opened it
		return answer[last:], true
	default:
		return answer, false
	}
}
