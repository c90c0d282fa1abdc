package llm

import (
	"regexp"
	"strings"
)

// Models that think write down their thoughts before the answer, and servers
// that do not know their form leave them in it: <think>…</think> and the like,
// in any case, sometimes without the opening tag, which the prompt had already.
var (
	thinkingNames = `(?:think(?:ing)?|thoughts?|reason(?:ing)?|reflection|analysis|scratchpad|seed:think)`

	openThinking  = regexp.MustCompile(`(?is)^\s*(?:<\s*` + thinkingNames + `\s*>|\[THINK\]|◁think▷|<\|begin_of_thought\|>|<\|channel\|>\s*analysis\s*<\|message\|>)`)
	closeThinking = regexp.MustCompile(`(?is)<\s*/\s*` + thinkingNames + `\s*>|\[/THINK\]|◁/think▷|<\|end_of_thought\|>|<\|channel\|>\s*final\s*<\|message\|>`)
	answerFrame   = regexp.MustCompile(`(?is)^\s*<(answer|output|response|final|summary)>(.*?)(?:</(?:answer|output|response|final|summary)>\s*)?$`)
)

// withoutThinking returns what a model answered after it had thought: nothing
// while its thoughts had no end.
func withoutThinking(answer string) string {
	// The last end counts: thoughts may name their own tags.
	if ends := closeThinking.FindAllStringIndex(answer, -1); len(ends) > 0 {
		answer = answer[ends[len(ends)-1][1]:]
	}
	if openThinking.MatchString(answer) {
		return ""
	}
	if frame := answerFrame.FindStringSubmatch(answer); frame != nil {
		answer = frame[2]
	}
	return strings.TrimSpace(answer)
}
