package corpus

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Question is a question about the documents of the corpus, with its known answer.
type Question struct {
	Question   string      `json:"question"`
	Kind       string      `json:"kind"` // paraphrase, terms or exact
	References []Reference `json:"references"`
}

// Reference is a byte range of a document that answers a question.
type Reference struct {
	File  string `json:"file"` // File.Key of the document
	Start int    `json:"start"`
	End   int    `json:"end"`
}

// Questions returns the questions about the documents that Find returns. It reads the files
// docs-*.jsonl in GRISTMILL_TEST_EVAL, or in testdata/eval by default, one question per line.
func Questions() ([]Question, error) {
	dir, err := find(envEval, "eval")
	if err != nil {
		return nil, err
	}
	files, err := filepath.Glob(filepath.Join(dir, "docs-*.jsonl"))
	if err != nil {
		return nil, err
	}
	slices.Sort(files)
	var questions []Question
	for _, file := range files {
		read, err := readQuestions(file)
		if err != nil {
			return nil, err
		}
		questions = append(questions, read...)
	}
	if len(questions) == 0 {
		return nil, fmt.Errorf("no questions in the files docs-*.jsonl of %s", dir)
	}
	return questions, nil
}

func readQuestions(path string) ([]Question, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var questions []Question
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		var q Question
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			return nil, fmt.Errorf("%s line %d: %w", path, len(questions)+1, err)
		}
		questions = append(questions, q)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return questions, nil
}
