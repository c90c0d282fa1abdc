package main

import (
	"bufio"
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
)

const (
	syntheticDocuments = 1000
	syntheticSections  = 50  // of a document: each makes a passage
	syntheticSentences = 6   // of a section, on average
	keyPrefixes        = 100 // that documents stand on
	questionEvery      = 10  // of so many sentences one is a question
)

// syntheticCorpus makes documents out of the sentences of the corpus: each document has
// the sentences of one file, in sections that have some of them each, so that
// passages of one subject are near to each other, and none equals another.
// Questions are sentences of the same files that stand in no document.
type syntheticCorpus struct {
	random    *rand.Rand
	sections  int // written so far
	subjects  []subject
	questions []string
}

// subject is a file of the corpus.
type subject struct {
	name      string
	sentences []string
}

func newSyntheticCorpus(documents []corpusDocument) *syntheticCorpus {
	m := &syntheticCorpus{random: rand.New(rand.NewPCG(3, 4))}
	seen := map[string]bool{}
	for _, d := range documents {
		s := subject{name: d.key}
		for _, sentence := range sentences(d.text) {
			if seen[sentence] {
				continue
			}
			seen[sentence] = true
			if len(seen)%questionEvery == 0 {
				m.questions = append(m.questions, sentence)
			} else {
				s.sentences = append(s.sentences, sentence)
			}
		}
		if len(s.sentences) > 2*syntheticSentences {
			m.subjects = append(m.subjects, s)
		}
	}
	m.random.Shuffle(len(m.questions), func(i, j int) { m.questions[i], m.questions[j] = m.questions[j], m.questions[i] })
	return m
}

// documents returns documents, which stand on the shelves in turn.
func (m *syntheticCorpus) documents() []corpusDocument {
	made := make([]corpusDocument, syntheticDocuments)
	for i := range made {
		s := m.subjects[m.random.IntN(len(m.subjects))]
		made[i] = corpusDocument{fmt.Sprintf("%s%d/%s", keyPrefix(i), i, s.name), m.text(s), ""}
	}
	return made
}

// keyPrefix is what the keys of one document in a hundred begin with.
func keyPrefix(i int) string { return fmt.Sprintf("shelf-%02d/", i%keyPrefixes) }

// text writes the sections of a document.
func (m *syntheticCorpus) text(s subject) []byte {
	var text bytes.Buffer
	for range syntheticSections {
		// A passage is embedded with its headings: the number makes it one of a kind, however small the corpus is.
		m.sections++
		fmt.Fprintf(&text, "## %s (%d)\n\n", s.sentences[m.random.IntN(len(s.sentences))], m.sections)
		for range syntheticSentences/2 + m.random.IntN(syntheticSentences+1) {
			text.WriteString(s.sentences[m.random.IntN(len(s.sentences))])
			text.WriteString(" ")
		}
		text.WriteString("\n\n")
	}
	return text.Bytes()
}

var (
	// Code, tables, HTML and the like are no sentences.
	prose = regexp.MustCompile(`^[\p{Lu}\p{Lo}]`)

	sentenceEnd = regexp.MustCompile(`[.!?]["”’)]?\s+|[。！？]`)
)

// sentences returns the sentences of a markdown document that are neither very
// short nor very long.
func sentences(text []byte) []string {
	const shortest, longest = 40, 400
	var found []string
	var paragraph strings.Builder
	finish := func() {
		whole := paragraph.String()
		paragraph.Reset()
		for whole != "" {
			end := len(whole)
			if at := sentenceEnd.FindStringIndex(whole); at != nil {
				end = at[1]
			}
			sentence := strings.TrimSpace(whole[:end])
			whole = whole[end:]
			if prose.MatchString(sentence) && len(sentence) >= shortest && len(sentence) <= longest {
				found = append(found, sentence)
			}
		}
	}
	fenced := false
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		line := strings.TrimSpace(lines.Text())
		if strings.HasPrefix(line, "```") {
			fenced = !fenced
			finish()
			continue
		}
		if fenced || line == "" {
			finish()
			continue
		}
		paragraph.WriteString(line)
		paragraph.WriteString(" ")
	}
	finish()
	return found
}
