package main

import (
	"strings"
	"testing"

	"github.com/seed-7a112592/gristmill/internal/test/program"
	"github.com/seed-7a112592/gristmill/internal/test/services"
	"github.com/seed-7a112592/gristmill/internal/test/standalone"
)

func TestMain(m *testing.M) {
	defer program.RemoveBinaries()
	m.Run()
}

// A schema change that cloneDocuments does not handle makes this test fail, before anyone measures
// with rows that differ from the product's.
func TestClonesEqualProductDocuments(t *testing.T) {
	t.Parallel()
	services.Postgres(t) // skips the test without a server
	for name, test := range map[string]struct {
		fill func(d *database)
		size int
	}{
		"ended jobs":   {fillDocuments, 200},
		"waiting jobs": {fillQueue, 30},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := standalone.Run(t.Context(), "clones", func(p *standalone.TB) {
				d := newDatabase(p, "", test.size, test.size, test.fill)
				s := d.fixture.templates[0]
				// compareClone finds a difference.
				d.exec("UPDATE public.versions SET size = size + 1 WHERE document = $1", d.cloneID(s.original.Document.ID, s.first))
				if err := d.compareClone(s, s.first); err == nil {
					p.Errorf("compareClone accepts a document of another size")
				}
			}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestCloneRefusesUnknownSchema(t *testing.T) {
	t.Parallel()
	services.Postgres(t) // skips the test without a server
	for statement, want := range map[string]string{
		"CREATE TABLE public.notes (tenant text, text text)":                          "table notes is new",
		"ALTER TABLE public.documents ADD owner uuid DEFAULT gen_random_uuid()":       "column owner of table documents is new",
		"CREATE FUNCTION public.f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN END';": "trigger note is new",
	} {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			err := standalone.Run(t.Context(), "unknown", func(p *standalone.TB) {
				newDatabase(p, "", 1, 1, func(d *database) {
					d.exec(statement)
					if strings.HasPrefix(want, "trigger") {
						d.exec("CREATE TRIGGER note AFTER INSERT ON public.versions FOR EACH ROW EXECUTE FUNCTION public.f()")
						d.checkTriggers()
					}
					d.add(indexedCollection, "more/", "{}", 1)
				})
			})
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("the error is %v, want one that contains %q", err, want)
			}
		})
	}
}

func TestReportChecksBounds(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		print func(r *report)
		over  bool
	}{
		"ratio at its bound":          {func(r *report) { r.printRatio("r", "ms", []float64{2, 9, 3}, 1.5) }, false},
		"ratio above its bound":       {func(r *report) { r.printRatio("r", "ms", []float64{2, 3, 3.1}, 1.5) }, true},
		"ratio of zeros":              {func(r *report) { r.printRatio("r", "ms", []float64{0, 0}, 1.5) }, true},
		"ratio without a bound":       {func(r *report) { r.printRatio("r", "ms", []float64{1, 100}, 0) }, false},
		"none above the maximum":      {func(r *report) { r.printMax("m", "ms", []float64{50, 50}, 50) }, false},
		"one above the maximum":       {func(r *report) { r.printMax("m", "ms", []float64{51, 50}, 50) }, true},
		"none below the minimum":      {func(r *report) { r.printMin("l", "", []float64{0.95, 1}, 0.95) }, false},
		"the first below the minimum": {func(r *report) { r.printMin("l", "", []float64{0.94, 1}, 0.95) }, true},
	} {
		r := &report{}
		test.print(r.forFigure(nil, name))
		if r.exceeded != test.over {
			t.Errorf("%s: over is %t, want %t", name, r.exceeded, test.over)
		}
	}
}
