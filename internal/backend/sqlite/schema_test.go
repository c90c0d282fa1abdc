package sqlite

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write schema.sql instead of comparing it with the migrations")

// schema.sql shows what the migrations make.
func TestSchemaFileIsCurrent(t *testing.T) {
	t.Parallel()
	const (
		file    = "schema.sql"
		command = "go test ./internal/backend/sqlite -run TestSchemaFileIsCurrent -update"
	)
	s := open(t, filepath.Join(t.TempDir(), "test.db"))
	rows, err := s.writer.QueryContext(t.Context(), `
		SELECT type, sql FROM sqlite_schema
		WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\_%' ESCAPE '\' AND tbl_name <> 'goose_db_version'
		ORDER BY tbl_name, CASE type WHEN 'table' THEN 1 WHEN 'index' THEN 2 ELSE 3 END, name`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var b strings.Builder
	b.WriteString("-- The tables of the SQLite store after all migrations, to read; nothing executes it.\n" +
		"-- The program defines the function metadata_fields.\n" +
		"-- Do not edit it. After a change of the migrations run\n--   " + command + "\n")
	for rows.Next() {
		var kind, statement string
		if err := rows.Scan(&kind, &statement); err != nil {
			t.Fatal(err)
		}
		if kind == "table" {
			statement = "\n" + formatTable(statement)
		}
		b.WriteString(statement + ";\n")
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s is not what the migrations make (-file +migrations); run\n  %s\n%s", file, command, diff)
	}
}

// formatTable returns a statement of CREATE TABLE with a line for each column and constraint.
// SQLite keeps the text of the migration, to which it adds columns within a line.
func formatTable(statement string) string {
	start, end := strings.Index(statement, "("), strings.LastIndex(statement, ")")
	var text strings.Builder
	for line := range strings.Lines(statement[start+1 : end]) {
		code, _, _ := strings.Cut(line, "--") // the comment would hide the next definition
		text.WriteString(code + " ")
	}
	var definitions []string
	body, depth, from := text.String(), 0, 0
	for i, r := range body {
		switch r {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				definitions, from = append(definitions, body[from:i]), i+1
			}
		}
	}
	definitions = append(definitions, body[from:])
	for i, definition := range definitions {
		definitions[i] = "    " + strings.Join(strings.Fields(definition), " ")
	}
	return statement[:start+1] + "\n" + strings.Join(definitions, ",\n") + "\n" + statement[end:]
}
