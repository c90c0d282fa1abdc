package verify_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/seed-7a112592/gristmill/internal/fault"
	"github.com/seed-7a112592/gristmill/internal/garbage"
	"github.com/seed-7a112592/gristmill/internal/pipeline/verify"
	"github.com/seed-7a112592/gristmill/internal/verification"
)

func sampleDocument(n int) string {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "# Part %d\n\nPart %d tells of wheat, rye and oats, and how they are ground between stones.\n\n", i, i)
	}
	return text.String()
}

// runVerifier returns the findings of a verification.
func runVerifier(t *testing.T, v *verify.Verifier, scope verify.Scope) ([]verification.Finding, verify.Tally) {
	t.Helper()
	var findings []verification.Finding
	tally, err := v.Run(t.Context(), scope, verify.Observer{OnFinding: func(f verification.Finding) error {
		findings = append(findings, f)
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	if int(tally.Findings) != len(findings) {
		t.Errorf("the tally counts %d findings, the observer %d", tally.Findings, len(findings))
	}
	return findings, tally
}

// Each kind of damage is found, and recorded in the document. When it is repaired, the record is
// removed.
func TestVerifyFindsDamage(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(m *fakeBackend, k *verification.RetainedVersion)
		kind  verification.FindingKind
		says  string
	}{
		"missing": {func(m *fakeBackend, k *verification.RetainedVersion) { delete(m.objects, k.Original.Object) }, verification.FindingOriginalGone, "is missing"},
		"empty":   {func(m *fakeBackend, k *verification.RetainedVersion) { m.objects[k.Original.Object] = "" }, verification.FindingOriginalDamaged, "0 bytes"},
		"truncated": {func(m *fakeBackend, k *verification.RetainedVersion) {
			m.objects[k.Original.Object] = sampleDocument(20)[:500]
		}, verification.FindingOriginalDamaged, "500 bytes"},
		"replaced": {func(m *fakeBackend, k *verification.RetainedVersion) {
			m.objects[k.Original.Object] = strings.ReplaceAll(sampleDocument(20), "wheat", "maize")
		}, verification.FindingOriginalDamaged, "SHA-256"},
		"replaced, not published": {func(m *fakeBackend, k *verification.RetainedVersion) {
			k.Published = false
			m.objects[k.Original.Object] = strings.ReplaceAll(sampleDocument(20), "wheat", "maize")
		}, verification.FindingOriginalDamaged, "SHA-256"},
		"not complete in its space": {func(m *fakeBackend, k *verification.RetainedVersion) { k.Passages = -1 }, verification.FindingPassagesDamaged, "the active space, 1"},
		"one passage too few":       {func(m *fakeBackend, k *verification.RetainedVersion) { k.Passages++ }, verification.FindingPassagesDamaged, "passages are stored"},
		"no passages":               {func(m *fakeBackend, k *verification.RetainedVersion) { m.passages[k.DocumentID] = nil }, verification.FindingPassagesDamaged, "passages are stored"},
		"missing manifest entry": {func(m *fakeBackend, k *verification.RetainedVersion) {
			m.passages[k.DocumentID] = m.passages[k.DocumentID][1:]
		}, verification.FindingPassagesDamaged, "passage 0 is missing"},
		"missing passage": {func(m *fakeBackend, k *verification.RetainedVersion) { m.passages[k.DocumentID][3].Dimensions = -1 }, verification.FindingPassagesDamaged, "passage 3"},
		"changed text": {func(m *fakeBackend, k *verification.RetainedVersion) {
			p := &m.passages[k.DocumentID][3]
			p.Content = strings.ToUpper(p.Content)
		}, verification.FindingPassagesDamaged, "passage 3"},
		"short vector": {func(m *fakeBackend, k *verification.RetainedVersion) { m.passages[k.DocumentID][5].Dimensions = 2 }, verification.FindingVectorsDamaged, "2 dimensions, want 3"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v, m := newVerifier(t)
			m.addDocument("default", "before", sampleDocument(3))
			bad := m.addDocument("default", "bad", sampleDocument(20))
			m.addDocument("other", "theirs", sampleDocument(5))
			undamaged := *bad
			passages := append([]verification.ManifestPassage{}, m.passages[bad.DocumentID]...)
			if findings, tally := runVerifier(t, v, verify.Scope{}); len(findings) != 0 || tally.Documents != 3 || tally.Objects != 3 || tally.Bytes != int64(len(sampleDocument(3))+len(sampleDocument(20))+len(sampleDocument(5))) {
				t.Fatalf("before the damage: %+v, %+v", findings, tally)
			}
			test.spoil(m, bad)
			findings, _ := runVerifier(t, v, verify.Scope{})
			if len(findings) != 1 {
				t.Fatalf("findings %+v, want one", findings)
			}
			f := findings[0]
			if f.Kind != test.kind || f.DocumentID != bad.DocumentID || f.Key != "bad" || f.Tenant != "default" || f.Object != bad.Original.Object ||
				!strings.Contains(f.Detail, test.says) || f.Remedy == "" || strings.Count(f.Detail+f.Remedy, "upload the document again") > 1 {
				t.Errorf("finding %+v, want %s of document %s with %q", f, test.kind, bad.DocumentID, test.says)
			}
			if !strings.Contains(m.kept["default"][1].Damage, test.says) || m.kept["default"][0].Damage != "" {
				t.Errorf("recorded damage %q, want %q", m.kept["default"][1].Damage, test.says)
			}
			m.objects[bad.Original.Object] = sampleDocument(20)
			m.passages[bad.DocumentID] = passages
			undamaged.Damage = m.kept["default"][1].Damage
			m.kept["default"][1] = undamaged
			if findings, _ := runVerifier(t, v, verify.Scope{}); len(findings) != 0 || m.kept["default"][1].Damage != "" {
				t.Errorf("after the repair: findings %+v, recorded damage %q, want none", findings, m.kept["default"][1].Damage)
			}
		})
	}
}

// A document that is restored, changed or deleted during the verification is not a finding.
func TestVerifyDuringChanges(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(m *fakeBackend){
		"restored": func(m *fakeBackend) {
			m.kept["default"][0].Original.Object = "default/restored"
			m.objects["default/restored"] = sampleDocument(3)
		},
		"deleted": func(m *fakeBackend) { m.kept["default"] = nil },
		"changed": func(m *fakeBackend) { m.kept["default"][0].Version = 2 },
	} {
		v, m := newVerifier(t)
		k := m.addDocument("default", "a", sampleDocument(3))
		delete(m.objects, k.Original.Object)
		m.opened = func(string) {
			m.opened = nil
			change(m)
		}
		if findings, _ := runVerifier(t, v, verify.Scope{}); len(findings) != 0 {
			t.Errorf("%s: findings %+v, want none", name, findings)
		}
	}
}

// Object storage that is down is an error, not a finding.
func TestVerifyWithoutObjectStorage(t *testing.T) {
	t.Parallel()
	v, m := newVerifier(t)
	m.addDocument("default", "a", sampleDocument(3))
	m.openErr = fault.New(fault.Unavailable, "down")
	_, err := v.Run(t.Context(), verify.Scope{}, verify.Observer{OnFinding: func(f verification.Finding) error {
		t.Errorf("got finding %+v", f)
		return nil
	}})
	if !fault.Is(err, fault.Unavailable) || m.kept["default"][0].Damage != "" {
		t.Errorf("got error %v and recorded damage %q, want unavailable and none", err, m.kept["default"][0].Damage)
	}
}

// One object that cannot be read does not stop the verification of others. It does not mean that
// its document is damaged.
func TestVerifyGoesOnBehindAnObjectThatCannotBeRead(t *testing.T) {
	t.Parallel()
	for _, failing := range []string{"opening", "reading"} {
		v, m := newVerifier(t)
		bad := m.addDocument("default", "a", sampleDocument(3))
		m.addDocument("default", "b", sampleDocument(3))
		m.failing = map[string]string{bad.Original.Object: failing}
		findings, tally := runVerifier(t, v, verify.Scope{})
		if tally.Documents != 2 || len(findings) != 1 || findings[0].Kind != verification.FindingOriginalUnreadable || findings[0].Key != "a" || !strings.Contains(findings[0].Detail, "input/output error") {
			t.Errorf("%s: %d documents, findings %+v, want 2 and one unreadable original", failing, tally.Documents, findings)
		}
		if noted := m.kept["default"][0].Damage; noted != "" {
			t.Errorf("%s: recorded damage %q, want none", failing, noted)
		}
	}
}

func TestVerifyFindsUnusedObjects(t *testing.T) {
	t.Parallel()
	v, m := newVerifier(t)
	theirs := m.addDocument("other", "theirs", sampleDocument(1)).Original.Object
	m.objects["default/unused"], m.objects["default/under way"], m.objects["nobody/unused"] = "x", "x", "x"
	m.noted["default/under way"] = true
	m.objects["default/"+theirs] = "x" // under another tenant's name
	m.objects["default/going"] = "x"
	m.opened = func(name string) {
		if name == "default/going" { // the garbage collector deletes it
			m.mu.Lock()
			delete(m.objects, name)
			m.mu.Unlock()
		}
	}
	want := map[string]bool{"default/unused": true, "nobody/unused": true, "default/" + theirs: true}
	findings, tally := runVerifier(t, v, verify.Scope{})
	for _, f := range findings {
		if f.Kind != verification.FindingObjectUnused || !want[f.Object] || f.DocumentID != uuid.Nil {
			t.Errorf("got finding %+v", f)
		}
	}
	if len(findings) != len(want) || tally.Objects != 6 {
		t.Errorf("%d findings of %d objects, want %d of 6", len(findings), tally.Objects, len(want))
	}
	if findings, _ := runVerifier(t, v, verify.Scope{Collection: "default"}); len(findings) != 0 {
		t.Errorf("verification of one collection: findings %+v, want none", findings)
	}
}

// An interrupted run continues after the last document that it has reported.
func TestVerifyContinues(t *testing.T) {
	t.Parallel()
	v, m := newVerifier(t)
	for i := range 250 {
		m.addDocument("default", fmt.Sprint(i), sampleDocument(1))
	}
	theirs := m.addDocument("other", "theirs", sampleDocument(1))
	stop := errors.New("interrupted")
	var scope verify.Scope
	found := func(verification.Finding) error { return nil }
	first, err := v.Run(t.Context(), scope, verify.Observer{OnFinding: found, OnProgress: func(tenant string, last uuid.UUID) error {
		scope.Tenant, scope.After = tenant, last
		return stop
	}})
	if !errors.Is(err, stop) || first.Documents == 0 {
		t.Fatalf("%+v, %v", first, err)
	}
	_, rest := runVerifier(t, v, scope)
	if first.Documents+rest.Documents != 251 {
		t.Errorf("%d documents and then %d, want 251 in total", first.Documents, rest.Documents)
	}
	if _, last := runVerifier(t, v, verify.Scope{Tenant: "other", After: theirs.DocumentID}); last.Documents != 0 {
		t.Errorf("%d documents after the last one, want none", last.Documents)
	}
}

// An original is read once, whatever the number of its passages.
func TestVerifyReadsOriginalsOnce(t *testing.T) {
	t.Parallel()
	v, m := newVerifier(t)
	text := sampleDocument(2000)
	m.addDocument("default", "a", text)
	if runVerifier(t, v, verify.Scope{Collection: "default"}); m.read != len(text) {
		t.Errorf("read %d bytes, want %d", m.read, len(text))
	}
}

// Unlisted garbage is found once: the store adds it to the list.
func TestVerifyFindsUnlistedGarbage(t *testing.T) {
	t.Parallel()
	v, m := newVerifier(t)
	m.addDocument("default", "a", sampleDocument(1))
	m.unlisted["other"] = garbage.ScanCounts{Versions: 2, Passages: 7}
	if findings, _ := runVerifier(t, v, verify.Scope{Collection: "default"}); len(findings) != 0 {
		t.Errorf("verification of one collection: findings %+v, want none", findings)
	}
	findings, _ := runVerifier(t, v, verify.Scope{})
	if len(findings) != 1 || findings[0].Kind != verification.FindingGarbageUnlisted || findings[0].Tenant != "other" || !strings.Contains(findings[0].Detail, "2 versions, 0 spaces, 7 passages") {
		t.Errorf("findings %+v, want the unlisted garbage of one tenant", findings)
	}
	if findings, _ := runVerifier(t, v, verify.Scope{}); len(findings) != 0 {
		t.Errorf("a second run: findings %+v, want none", findings)
	}
}
