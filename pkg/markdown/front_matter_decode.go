package markdown

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
	"go.yaml.in/yaml/v3"
)

// Values of front matter keep the text that was written: a number stays a number only if JSON
// writes it in the same way. So 42 and 1.5 are numbers, and 01234, 1.10, 0x1F, 1e3, 1_000, dates
// and times are strings. `yes` and `no` are strings too. Booleans and null are those of YAML and
// TOML.

// decodeYAML decodes a mapping. Line numbers in errors count from the opening fence, which is line
// 1.
func decodeYAML(matter []byte) (fields map[string]any, err error) {
	defer recoverAsError(&err)
	decoder := yaml.NewDecoder(io.MultiReader(strings.NewReader("\n"), bytes.NewReader(matter)))
	var root yaml.Node
	if err := decoder.Decode(&root); err != nil {
		return nil, yamlError(err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("it is more than one YAML document")
	}
	if len(root.Content) != 1 || root.Content[0].Kind != yaml.MappingNode {
		return nil, errors.New("it is not a YAML mapping")
	}
	if err := scalarsToStrings(root.Content[0]); err != nil {
		return nil, err
	}
	if err := root.Decode(&fields); err != nil {
		return nil, yamlError(err)
	}
	return fields, nil
}

// scalarsToStrings changes scalars whose text would be lost, and all keys, to strings. It does not
// follow aliases, because their targets are in the tree.
func scalarsToStrings(n *yaml.Node) error {
	for i, child := range n.Content {
		isKey := n.Kind == yaml.MappingNode && i%2 == 0
		switch {
		case isKey && child.Kind != yaml.ScalarNode:
			return fmt.Errorf("line %d: a key is not a string", child.Line)
		case isKey && child.ShortTag() != "!!merge", child.Kind == yaml.ScalarNode && !keepsType(child):
			child.Tag = "!!str"
		}
		if err := scalarsToStrings(child); err != nil {
			return err
		}
	}
	return nil
}

// keepsType reports whether a scalar has the type that YAML gives it, not a string.
func keepsType(n *yaml.Node) bool {
	switch n.ShortTag() {
	case "!!bool", "!!null", "!!merge":
		return true
	case "!!int", "!!float":
		return isPlainNumber(n.Value)
	default:
		return false
	}
}

// isPlainNumber reports whether JSON writes the number in the same way as text.
func isPlainNumber(text string) bool {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return strconv.FormatInt(n, 10) == text
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return strconv.FormatUint(n, 10) == text
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return false
	}
	written, err := json.Marshal(f)
	return err == nil && string(written) == text
}

var lineBreaks = regexp.MustCompile(`\s*\n\s*`)

// yamlError returns the error on one line, without the prefixes of the YAML library.
func yamlError(err error) error {
	text := strings.TrimPrefix(err.Error(), "yaml: ")
	text = strings.TrimPrefix(text, "unmarshal errors:\n")
	return errors.New(lineBreaks.ReplaceAllString(strings.TrimSpace(text), "; "))
}

// decodeTOML decodes a document. The types of the TOML library lose the text of numbers and times,
// so they are quoted as strings before the library decodes the source.
func decodeTOML(matter []byte) (fields map[string]any, err error) {
	defer recoverAsError(&err)
	source := append([]byte("\n"), matter...) // count lines from the fence
	var quoted bytes.Buffer
	parser, done := unstable.Parser{}, 0
	parser.Reset(source)
	for parser.NextExpression() {
		for _, literal := range literalsOf(parser.Expression(), nil) {
			start, end := int(literal.Offset), int(literal.Offset+literal.Length)
			fmt.Fprintf(&quoted, `%s"%s"`, source[done:start], source[start:end])
			done = end
		}
	}
	quoted.Write(source[done:])
	err = toml.Unmarshal(quoted.Bytes(), &fields)
	if bad, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, _ := bad.Position()
		return nil, fmt.Errorf("line %d: %s", line, strings.TrimPrefix(bad.Error(), "toml: "))
	}
	return fields, err
}

// literalsOf appends the ranges of the numbers and times of an expression whose text would be lost.
func literalsOf(n *unstable.Node, literals []unstable.Range) []unstable.Range {
	switch n.Kind {
	case unstable.Integer, unstable.Float:
		if !isPlainNumber(string(n.Data)) {
			literals = append(literals, n.Raw)
		}
	case unstable.LocalDate, unstable.LocalTime, unstable.LocalDateTime, unstable.DateTime:
		literals = append(literals, n.Raw)
	case unstable.KeyValue:
		return literalsOf(n.Value(), literals)
	case unstable.Array, unstable.InlineTable:
		for it := n.Children(); it.Next(); {
			literals = literalsOf(it.Node(), literals)
		}
	}
	return literals
}

// recoverAsError turns a panic of a parser into an error. Front matter is untrusted input, and must
// not stop a task.
func recoverAsError(err *error) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("it cannot be parsed: %v", p)
	}
}
