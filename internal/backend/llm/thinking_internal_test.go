package llm

import "testing"

func TestStripThinking(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		"Rye is ground.": "Rye is ground.",
		"<think>Rye?\n\nYes.</think>\n\nRye is ground.":                           "Rye is ground.",
		"\n <THINK>\nRye?</Think>Rye is ground.\n":                                "Rye is ground.",
		"<thinking>Rye?</thinking>Rye is ground.":                                 "Rye is ground.",
		"<reasoning>Rye?</reasoning> Rye is ground.":                              "Rye is ground.",
		"<thought>Rye?</thought>Rye is ground.":                                   "Rye is ground.",
		"Rye?\nThe prompt had opened it.</think>Rye is ground.":                   "Rye is ground.",
		"<think>They say <think> and </think> here.</think>Rye is ground.":        "Rye is ground.",
		"<think></think>\n\nRye is ground.":                                       "Rye is ground.",
		"<think>One.</think><think>Two.</think>Rye is ground.":                    "Rye is ground.",
		"[THINK]Rye?[/THINK]Rye is ground.":                                       "Rye is ground.",
		"◁think▷Rye?◁/think▷Rye is ground.":                                       "Rye is ground.",
		"<|begin_of_thought|>Rye?<|end_of_thought|>Rye is ground.":                "Rye is ground.",
		"<|channel|>analysis<|message|>Rye?<|channel|>final<|message|>Rye is it.": "Rye is it.",
		"<think>Rye?</think><answer>Rye is ground.</answer>":                      "Rye is ground.",
		"<think>It thinks and thinks":                                             "",
		"  <Thinking>\nOn and on":                                                 "",
		"<think>Rye?</think>":                                                     "",
		"<think>Rye?</think>\n<think>":                                            "",
		" \n":                                                                     "",
		"The tag `<think>` opens what a model thinks.":                            "The tag `<think>` opens what a model thinks.",
		"<think>It ends with </think>.</think>Rye is ground.":                     "Rye is ground.",
		"<think>It begins with <think>.</think>Rye is ground.":                    "Rye is ground.",
		"Put it between <thinking> and </thinking>.":                              "Put it between <thinking> and </thinking>.",
		"<think>Tags?</think>Put it between <thinking> and </thinking>.":          "Put it between <thinking> and </thinking>.",
		"Thinking is <b>hard</b>.":                                                "Thinking is <b>hard</b>.",
	} {
		if got := stripThinking(answer); got != want {
			t.Errorf("%q: got %q, want %q", answer, got, want)
		}
	}
}
