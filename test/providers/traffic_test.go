package providers_test

import (
	"fmt"
	"strings"
	"sync"

	"github.com/seed-7a112592/gristmill/internal/test/fakeprovider"
)

// sections is the number of passages in a document.
const sections = 3

// text returns a document with sections so long that no two fit into one passage. The second
// section contains mark.
func text(name, mark string) string {
	var b strings.Builder
	for i := range sections {
		fmt.Fprintf(&b, "## %s, part %d\n\n", name, i)
		for j := range 8 {
			fmt.Fprintf(&b, "The miller of %s sets stone %d of part %d before the water comes. ", name, j, i)
		}
		if i == 1 && mark != "" {
			b.WriteString("This sentence is " + mark + ".")
		}
		b.WriteString("\n\n")
	}
	return b.String()
}

// textCounter counts the texts of uploads that are sent to the provider for embedding.
type textCounter struct {
	mu       sync.Mutex
	sent     int
	answered int
	texts    map[string]bool
}

func newTextCounter() *textCounter { return &textCounter{texts: map[string]bool{}} }

// wrap returns a script that counts, then follows the given script.
func (tr *textCounter) wrap(script fakeprovider.Script) fakeprovider.Script {
	return func(r fakeprovider.Request) fakeprovider.Fault {
		var fault fakeprovider.Fault
		if script != nil {
			fault = script(r)
		}
		if r.Chat {
			return fault
		}
		tr.mu.Lock()
		defer tr.mu.Unlock()
		for _, text := range r.Texts {
			if strings.Contains(text, "upload ") {
				tr.sent++
				tr.texts[text] = true
			}
		}
		return tr.countAnswered(r, fault)
	}
}

// countAnswered returns the fault, extended by counting the texts if the answer is correct.
func (tr *textCounter) countAnswered(r fakeprovider.Request, fault fakeprovider.Fault) fakeprovider.Fault {
	return func(a *fakeprovider.Answer) {
		a.Correct = fault == nil
		if fault != nil {
			fault(a)
		}
		if !a.Correct {
			return
		}
		tr.mu.Lock()
		defer tr.mu.Unlock()
		for _, text := range r.Texts {
			if strings.Contains(text, "upload ") {
				tr.answered++
			}
		}
	}
}

func (tr *textCounter) reset() {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.sent, tr.answered = 0, 0
	clear(tr.texts)
}

// counts returns the number of texts sent, of texts answered, and of different texts.
func (tr *textCounter) counts() (sent, answered, needed int) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	return tr.sent, tr.answered, len(tr.texts)
}
